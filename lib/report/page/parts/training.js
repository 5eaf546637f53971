// Curves of training, each drawing in one unit.
function training(f) {
  const box = section(f, "Training");
  const plot = (title, steps, lines) => box.append(el("h3", {}, title)) || drawing(box, title, (W) => {
    const [H, L, B, T, E] = [216, 50, 34, 10, lines.some((l) => l.label) ? 62 : 12];
    const y = scale(...extent(lines.flatMap((l) => l.rows.map((r) => ({ value: r[l.key] }))), 0.05, false), H - B, T, false);
    const x = scale(0, Math.max(...steps, 1), L, W - E, false);
    const children = [];
    for (const t of y.ticks) children.push(el("line", { class: "axis", x1: L, x2: W - E, y1: y(t), y2: y(t) }), el("text", { x: L - 8, y: y(t) + 4, "text-anchor": "end" }, onAxis(t, "")));
    for (const t of x.ticks) children.push(el("text", { x: x(t), y: H - B + 18, "text-anchor": "middle" }, onAxis(t, "")));
    for (const l of lines) {
      if (l.rows.length === 1) children.push(el("circle", { cx: x(l.rows[0].step), cy: y(l.rows[0][l.key]), r: 4, fill: l.color }));
      children.push(el("polyline", { points: l.rows.map((r) => `${x(r.step)},${y(r[l.key])}`).join(" "), fill: "none", stroke: l.color, "stroke-width": l.width }));
      if (l.label) children.push(el("text", { x: W - E + 6, y: y(l.rows[l.rows.length - 1][l.key]) + 4 }, l.label));
    }
    return { height: H, children };
  });
  const having = (rows, key) => rows.filter((r) => r[key] !== null && r[key] !== undefined);
  for (const curve of f.curves) {
    const all = curve.rows.map((r) => r.step), key = curve.key;
    const trained = { key, rows: having(curve.rows, key), color: "var(--c5)", width: 1.5 };
    const held = { key: "validation_loss", rows: having(curve.rows, "validation_loss"), color: "var(--c1)", width: 2, label: "held out" };
    const title = `${curve.step}: ${curve.title} by step, nats per token${curve.over ? `, ${curve.over}` : ""}`;
    const groups = curve.held_out_apart ? [[title, [trained]], [`${curve.step}: cross-entropy on held-out data by step, nats per token${curve.over ? `, ${curve.over}` : ""}`, [held]]] : [[title, [trained, held]]];
    for (const [text, lines] of groups) {
      const drawn = lines.filter((l) => l.rows.length);
      if (drawn.length) plot(text, all, drawn);
    }
  }
}
