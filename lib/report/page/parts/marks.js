// Colors of models, and the three marks of provenance: explained once and used everywhere.
const PALETTE = ["--c0", "--c1", "--c2", "--c3", "--c4", "--c5"].map((c) => `var(${c})`);

// Which model has which color: gray for the baseline, the palette in order for the others.
const color = {};
R.models.filter((m) => m.role !== "baseline").forEach((m, i) => { color[m.name] = PALETTE[i % PALETTE.length]; });
R.models.filter((m) => m.role === "baseline").forEach((m) => { color[m.name] = "var(--teacher)"; });

function marks() {
  const mark = (kind, label) => {
    const svg = el("svg", { width: 26, height: 12, "aria-hidden": "true" }, hatch(), bar(0, 1, 24, 10, "var(--soft)", kind));
    return el("span", {}, svg, label);
  };
  return el("div", { class: "legend" }, mark("measured", "measured"), mark("modelled", "modelled"), mark("assumed", "assumed"));
}
function hatch() {
  return el("defs", {}, el("pattern", { id: "hatch", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    el("line", { x1: 0, y1: 0, x2: 0, y2: 5, stroke: "var(--paper)", "stroke-width": 2.6 })));
}
function bar(x, y, width, height, fill, provenance, hint) {
  const group = el("g", {});
  const w = Math.max(width, 0.75);
  if (provenance === "assumed") group.append(el("rect", { x, y, width: w, height, fill: "none", stroke: fill, "stroke-dasharray": "1.5 2.5", "stroke-width": 1.5 }));
  else group.append(el("rect", { x, y, width: w, height, fill }));
  if (provenance === "modelled") group.append(el("rect", { x, y, width: w, height, fill: "url(#hatch)" }));
  if (hint) group.append(el("title", {}, hint));
  return group;
}

// What makes a number less sure stands beside it.
const flags = (value) => value.marks && value.marks.length ? el("span", { class: "interval" }, `* ${value.marks.join(", ")}`) : null;

const name = (m) => el("span", { title: m }, el("span", { class: "swatch", style: `background:${color[m] || "var(--faint)"}` }), shorten(m));
