// Differences to the baseline, paired, for each metric.
function differences(box, g) {
  const all = g.rows.map((r) => ({ value: r.difference, low: r.low, high: r.high }));
  const span = extent([...all, { value: 0 }, ...(g.margin ? [{ value: -g.margin * g.direction }] : [])], 0.08, false);
  const differ = `${g.differ} of ${g.rows.length} differ beyond chance on ${g.metric}`;
  drawing(box, `${differ}; the numbers follow as a table.`, (W) => {
    const lane = lanes(W), right = lane.narrow ? 12 : 120, end = g.rows.length * lane.row + 4, H = end + 40;
    const x = scale(...span, lane.left + 6, W - right, false, g.unit);
    const children = [];
    for (const t of x.ticks) children.push(el("line", { class: "axis", x1: x(t), x2: x(t), y1: 0, y2: end }), el("text", { x: x(t), y: end + 16, "text-anchor": "middle" }, (t > 0 ? "+" : "") + onAxis(t, g.unit)));
    children.push(el("line", { class: "frame", x1: x(0), x2: x(0), y1: 0, y2: end }));
    if (g.margin) {
      const at = x(-g.margin * g.direction);
      children.push(el("line", { x1: at, x2: at, y1: 0, y2: end, stroke: "var(--bad)", "stroke-dasharray": "4 3" }), el("text", { x: Math.min(Math.max(at, 52), W - 52), y: end + 34, "text-anchor": "middle" }, "declared margin"));
    }
    g.rows.forEach((r, i) => {
      const cy = lane.y(i) + lane.bar / 2, c = shade(r.model);
      const group = el("g", {}, lane.label(r.model, i));
      if (r.low !== null && r.low !== undefined) group.append(el("line", { x1: x(Math.max(r.low, span[0])), x2: x(Math.min(r.high ?? span[1], span[1])), y1: cy, y2: cy, stroke: c, "stroke-width": 2 }));
      group.append(el("circle", { cx: x(r.difference), cy, r: 5, fill: c }));
      if (r.verdict) group.append(el("text", lane.narrow ? { x: W, y: i * lane.row + 13, "text-anchor": "end" } : { x: W - right + 12, y: cy + 4 }, r.verdict));
      group.append(el("title", {}, `${r.model}: difference ${r.difference}, interval ${r.low} to ${r.high}, n = ${r.n} (${r.method || ""})`));
      children.push(group);
    });
    return { height: H, children };
  });
}

function comparisons(f) {
  const box = section(f, "Difference to the baseline");
  const fraction = Object.fromEntries(f.groups.map((g) => [g.metric, g.unit === "fraction"]));
  differences(box, f.groups[0]);
  for (const g of f.groups.slice(1)) {
    const more = behind(`${g.metric}: ${g.differ} of ${g.rows.length} differ beyond chance`);
    box.append(more);
    differences(more, g);
  }
  // Shares in points, so that one column holds all metrics.
  const columns = [{ key: "model", title: "model", text: true }, { key: "engine", title: "scored in", text: true }, { key: "metric", title: "metric", text: true }, { key: "value", title: "value" }, { key: "reference", title: "baseline" }, { key: "difference", title: "difference" },
    { key: "n", title: "n", unit: "count" }, { key: "flips", title: "flips", unit: "count", help: "items that changed between right and wrong" }, { key: "p", title: "p (Holm)", help: "two-sided, adjusted after Holm over the metrics of the model; without that the plain p" }, { key: "verdict", title: "verdict", text: true }, { key: "method", title: "method", text: true }];
  const row = (r) => {
    const factor = fraction[r.metric] ? 100 : 1, times = (v) => v === null || v === undefined ? null : v * factor;
    const p = r.p_value_holm ?? r.p_value;
    return { model: name(r.model), engine: r.engine || null, metric: r.metric + (factor === 100 ? ", points" : ""), value: unitOf(times(r.value)), reference: unitOf(times(r.reference_value)),
      difference: { value: times(r.difference), low: times(r.low), high: times(r.high), n: r.n, confidence: r.confidence, method: r.method, source: r.source }, n: unitOf(r.n), flips: unitOf(r.discordant), p: p === null || p === undefined ? null : { value: p },
      verdict: r.verdict, method: r.method };
  };
  box.append(behind("every comparison", table(columns, f.all.map((r) => ({ cells: row(r) })), "Paired comparisons with the baseline")));
}
