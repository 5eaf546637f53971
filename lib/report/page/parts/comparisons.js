// Differences to the baseline.
function comparisons(f) {
  if (!f.rows.length) return;
  const box = section(f, "Difference to the baseline");
  const [W, row, L, E] = [900, 30, 190, 150];
  const H = f.rows.length * row + 46;
  const all = f.rows.map((r) => ({ value: r.difference, low: r.low, high: r.high }));
  const span = extent([...all, { value: 0 }, ...(f.margin ? [{ value: -f.margin * f.direction }] : [])], 0.08, false);
  const x = scale(...span, L, W - E, false);
  const svg = el("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": f.finding || "" });
  for (const t of x.ticks) svg.append(el("line", { class: "axis", x1: x(t), x2: x(t), y1: 4, y2: H - 40 }), el("text", { x: x(t), y: H - 22, "text-anchor": "middle" }, (t > 0 ? "+" : "") + show(t, f.unit)));
  svg.append(el("line", { class: "frame", x1: x(0), x2: x(0), y1: 0, y2: H - 40 }));
  if (f.margin) {
    const at = x(-f.margin * f.direction);
    svg.append(el("line", { x1: at, x2: at, y1: 0, y2: H - 40, stroke: "var(--bad)", "stroke-dasharray": "4 3" }), el("text", { x: at, y: H - 6, "text-anchor": "middle" }, "declared margin"));
  }
  f.rows.forEach((r, i) => {
    const cy = i * row + row / 2 + 2, c = color[r.model] || "var(--faint)";
    const g = el("g", {}, el("text", { class: "label", x: 0, y: cy + 4 }, shorten(r.model, 25)));
    if (r.low !== null && r.low !== undefined) g.append(el("line", { x1: x(Math.max(r.low, span[0])), x2: x(Math.min(r.high ?? span[1], span[1])), y1: cy, y2: cy, stroke: c, "stroke-width": 2 }));
    g.append(el("circle", { cx: x(r.difference), cy, r: 5, fill: c }), el("text", { x: W - E + 12, y: cy + 4 }, r.verdict || ""));
    g.append(el("title", {}, `${r.model}: difference ${r.difference}, interval ${r.low} to ${r.high}, n = ${r.n} (${r.method || ""})`));
    svg.append(g);
  });
  box.append(el("figure", {}, svg));
  const columns = [["model", "model"], ["metric", "metric"], ["value", "value"], ["reference_value", "baseline"], ["difference", "difference"], ["low", "low"], ["high", "high"], ["n", "n"], ["discordant", "discordant"], ["method", "method"], ["verdict", "verdict"]]
    .map(([key, title]) => ({ key, title, text: ["model", "metric", "method", "verdict"].includes(key) }));
  const number = (v) => typeof v === "number" ? { value: v, provenance: "measured" } : v;
  box.append(behind("every comparison", table(columns, f.all.map((r) => ({ cells: { ...Object.fromEntries(Object.entries(r).map(([k, v]) => [k, number(v)])), model: name(r.model) } })))));
}
