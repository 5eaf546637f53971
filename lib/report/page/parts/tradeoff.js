// Quality against cost.
function tradeoff(f) {
  const box = section(f, "Quality against cost");
  const points = f.points.filter((p) => p.x.value !== null && p.y.value !== null);
  if (f.note) box.append(el("p", { class: "note" }, f.note));
  if (points.length) {
    const [W, H, L, B, T, E] = [900, 400, 64, 46, 14, 150];
    const svg = el("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": f.finding || "" }, hatch());
    const x = scale(...extent(points.map((p) => p.x), f.x_log ? 0.35 : 0.12, f.x_log), L, W - E, f.x_log);
    const y = scale(...extent(points.map((p) => p.y), 0.1, false), H - B, T, false);
    for (const t of y.ticks) svg.append(el("line", { class: "axis", x1: L, x2: W - E, y1: y(t), y2: y(t) }), el("text", { x: L - 8, y: y(t) + 4, "text-anchor": "end" }, show(t, f.y_unit)));
    for (const t of x.ticks) svg.append(el("line", { class: "axis", x1: x(t), x2: x(t), y1: H - B, y2: H - B + 5 }), el("text", { x: x(t), y: H - B + 19, "text-anchor": "middle" }, show(t, f.x_unit)));
    svg.append(el("line", { class: "frame", x1: L, x2: W - E, y1: H - B, y2: H - B }),
      el("text", { x: (L + W - E) / 2, y: H - 6, "text-anchor": "middle" }, f.x_title + (f.x_log ? " (log scale)" : "")),
      el("text", { x: 0, y: T - 2 }, f.y_title));
    const front = points.filter((p) => !p.dominated).sort((a, b) => a.x.value - b.x.value);
    svg.append(el("polyline", { points: front.map((p) => `${x(p.x.value)},${y(p.y.value)}`).join(" "), fill: "none", stroke: "var(--faint)", "stroke-dasharray": "3 4" }));
    // Labels move apart downwards where points crowd.
    const placed = [];
    for (const p of [...points].sort((a, b) => y(a.y.value) - y(b.y.value))) {
      const [px, py, c] = [x(p.x.value), y(p.y.value), color[p.model] || "var(--faint)"];
      const g = el("g", { opacity: p.dominated ? 0.45 : 1 });
      if (p.y.low !== undefined && p.y.low !== null) g.append(el("line", { x1: px, x2: px, y1: y(p.y.low), y2: y(p.y.high), stroke: c, "stroke-width": 1.5 }));
      if (p.x.low !== undefined && p.x.low !== null && (!f.x_log || p.x.low > 0)) g.append(el("line", { x1: x(p.x.low), x2: x(p.x.high), y1: py, y2: py, stroke: c, "stroke-width": 1.5 }));
      const solid = (p.x.provenance || "measured") === "measured";
      g.append(el("circle", { cx: px, cy: py, r: 5.5, fill: p.x.provenance === "assumed" ? "var(--paper)" : c, stroke: c, "stroke-width": 1.5, "stroke-dasharray": p.x.provenance === "assumed" ? "1.5 2" : null }));
      if (!solid && p.x.provenance === "modelled") g.append(el("circle", { cx: px, cy: py, r: 5, fill: "url(#hatch)" }));
      let ly = py + 4;
      while (placed.some((q) => Math.abs(q.y - ly) < 14 && Math.abs(q.x - px) < 170)) ly += 14;
      placed.push({ x: px, y: ly });
      g.append(el("text", { class: p.role === "baseline" ? "" : "label", x: px + 11, y: ly }, shorten(p.model, 24)), el("title", {}, `${p.model}\n${f.y_title}: ${explain(p.y)}\n${f.x_title}: ${explain(p.x)}`));
      svg.append(g);
    }
    box.append(el("figure", {}, svg));
    box.append(behind("the numbers", table([{ key: "model", title: "model", text: true }, { key: "x", title: f.x_title, unit: f.x_unit }, { key: "y", title: f.y_title, unit: f.y_unit }],
      f.points.map((p) => ({ cells: { model: name(p.model), x: p.x, y: p.y } })))));
  }
}
