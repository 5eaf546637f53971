// Curves of training.
function training(f) {
  if (!f.curves.length) return;
  const box = section(f, "Training");
  // One drawing: lines of one unit over the steps.
  const plot = (title, steps, lines) => {
    const [W, H, L, B] = [900, 240, 50, 34];
    const y = scale(...extent(lines.flatMap((l) => l.rows.map((r) => ({ value: r[l.key] }))), 0.05, false), H - B, 10, false);
    const x = scale(0, Math.max(...steps, 1), L, W - 100, false);
    const svg = el("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": title });
    for (const t of y.ticks) svg.append(el("line", { class: "axis", x1: L, x2: W - 100, y1: y(t), y2: y(t) }), el("text", { x: L - 8, y: y(t) + 4, "text-anchor": "end" }, digits(t)));
    for (const t of x.ticks) svg.append(el("text", { x: x(t), y: H - B + 18, "text-anchor": "middle" }, t));
    for (const l of lines) {
      svg.append(el("polyline", { points: l.rows.map((r) => `${x(r.step)},${y(r[l.key])}`).join(" "), fill: "none", stroke: l.color, "stroke-width": l.width }));
      if (l.label) svg.append(el("text", { x: W - 92, y: y(l.rows[l.rows.length - 1][l.key]) + 4, style: `fill:${l.color}` }, l.label));
    }
    svg.append(el("text", { class: "label", x: L, y: 8 }, title));
    box.append(el("figure", {}, svg));
  };
  const known = (rows, key) => rows.filter((r) => r[key] !== null && r[key] !== undefined);
  for (const curve of f.curves) {
    const steps = curve.rows.map((r) => r.step), key = curve.key;
    const trained = { key, rows: known(curve.rows, key), color: "var(--c5)", width: 1.5 };
    const held = { key: "validation_loss", rows: known(curve.rows, "validation_loss"), color: "var(--c1)", width: 2, label: "held out" };
    const title = `${curve.step}: ${curve.title} by step, nats per token`;
    const groups = curve.held_out_apart ? [[title, [trained]], [`${curve.step}: cross-entropy on held-out data by step, nats per token`, [held]]] : [[title, [trained, held]]];
    for (const [text, lines] of groups) {
      const drawn = lines.filter((l) => l.rows.length);
      if (drawn.length) plot(text, steps, drawn);
    }
  }
}
