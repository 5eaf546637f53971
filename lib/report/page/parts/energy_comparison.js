// Models beside a reference that took turns with them: verdicts first, whatever they are.
function energyComparison(f) {
  const box = section(f, "Energy against the reference");
  // What one ratio may be: a line on a scale of all of its group, with the place where nothing differs.
  const forest = (row, low, high) => {
    const [W, H] = [190, 18];
    const x = (v) => 6 + (Math.log(v) - Math.log(low)) / (Math.log(high) - Math.log(low) || 1) * (W - 12);
    const svg = el("svg", { width: W, height: H, viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": row.verdict },
      el("line", { x1: x(1), x2: x(1), y1: 0, y2: H, stroke: "var(--faint)", "stroke-dasharray": "2 2" }));
    if (row.ratio === null) return svg;
    const color = { less: "var(--good)", more: "var(--bad)" }[row.good ?? row.outcome] || "var(--soft)";
    if (row.low !== null) svg.append(el("line", { x1: x(row.low), x2: x(row.high), y1: H / 2, y2: H / 2, stroke: color, "stroke-width": 2 }));
    svg.append(el("circle", { cx: x(row.ratio), cy: H / 2, r: 4, fill: row.provenance === "measured" ? color : "var(--paper)", stroke: color, "stroke-width": 1.5 }));
    return svg;
  };
  const drawn = (g) => {
    const bounds = g.rows.flatMap((r) => [r.low, r.high, r.ratio]).filter((v) => v !== null && v > 0);
    const low = Math.min(0.98, ...bounds), high = Math.max(1.02, ...bounds);
    // Of a speed more is better.
    const good = (r) => g.kind !== "speed" ? r.outcome : { less: "more", more: "less" }[r.outcome] || r.outcome;
    const columns = [{ key: "model", title: "model", text: true }, { key: "verdict", title: g.title, text: true }, { key: "figure", title: "ratio", text: true },
      { key: "ratio", title: "of the reference's" }, { key: "p", title: comparisonsOf(g), help: "two-sided, by all ways in which the lots could have fallen" }, { key: "value", title: g.rows[0].unit || "value" }, { key: "reference_value", title: "reference" }, { key: "n", title: "rounds", unit: "count" }, { key: "out", title: "left out", unit: "count", help: "rounds that other work disturbed, left out for both alike" }];
    const cells = (r) => {
      const number = (value) => value === null || value === undefined ? { value: null, reason: r.reason } : { value, provenance: r.provenance, marks: r.marks, source: r.source };
      const bootstrap = r.bootstrap ? `block bootstrap of the rounds, which decides nothing: ${r.bootstrap.low} to ${r.bootstrap.high}` : "";
      return { model: r.label === r.model ? name(r.model) : el("span", { title: r.model }, shorten(r.label)), verdict: el("strong", {}, r.verdict + (r.itself ? " (beside itself)" : "")), figure: forest({ ...r, good: good(r) }, low, high),
        ratio: { ...number(r.ratio), low: r.low, high: r.high, confidence: r.confidence, n: r.n, method: r.method, help: bootstrap }, p: { ...number(r.p_value), marks: [] }, value: number(r.value), reference_value: number(r.reference_value),
        n: { value: r.n ?? null }, out: { value: r.rounds_left_out ?? null } };
    };
    return table(columns, g.rows.map((r) => ({ cells: cells(r) })), `${g.title} against the reference, batch ${g.batch}`);
  };
  const comparisonsOf = (g) => g.comparisons > 1 ? `p × ${g.comparisons}` : "p";
  const isHead = (g) => g.metric === f.headline.metric && g.batch === f.headline.batch;
  for (const g of f.groups.filter(isHead)) box.append(drawn(g));
  const others = f.groups.filter((g) => !isHead(g)).map((g) => el("div", {}, el("h3", {}, `${g.title}, batch ${g.batch}`), drawn(g)));
  if (others.length) box.append(behind("every quantity and batch size", el("div", {}, ...others)));
}
