// Colors of models, and the three marks of provenance: explained once and used everywhere.
const PALETTE = ["--c0", "--c1", "--c2", "--c3", "--c4", "--c5"].map((c) => `var(${c})`);

// Which model has which color: gray for the baseline; the variants of one step are a family and share a hue, each in a shade of its
// own. The names are those of models, and of artifacts in their runtimes.
const color = {};
(() => {
  const families = new Map();
  const add = (name, label, role) => {
    if (role === "baseline") { color[label] = "var(--teacher)"; return; }
    const family = name.split("/")[0];
    if (!families.has(family)) families.set(family, []);
    families.get(family).push(label);
  };
  R.models.forEach((m) => add(m.name, m.name, m.role));
  R.served.filter((r) => r.label !== r.model).forEach((r) => add(r.model, r.label, r.role));
  R.served.filter((r) => r.role === "baseline").forEach((r) => { color[r.label] = color[r.model] = "var(--teacher)"; });
  [...families.values()].forEach((labels, i) => {
    const hue = PALETTE[i % PALETTE.length];
    const own = labels.filter((label) => !color[label]);
    own.forEach((label, k) => { color[label] = own.length === 1 ? hue : `color-mix(in oklab, ${hue} ${Math.round(100 - 50 * k / (own.length - 1))}%, var(--ink))`; });
  });
})();
const shade = (label) => color[label] || "var(--faint)";
const name = (label) => el("span", { class: "name", title: label }, el("span", { class: "swatch", style: `background:${shade(label)}` }), shorten(label));

function marks() {
  const mark = (kind, label) => {
    const svg = el("svg", { width: 26, height: 12, "aria-hidden": "true" }, bar(0, 1, 24, 10, "var(--soft)", kind));
    return el("span", {}, svg, label);
  };
  return el("div", { class: "legend" }, mark("measured", "measured"), mark("modelled", "modelled"), mark("assumed", "assumed"), el("span", {}, "* less sure, and why"));
}

// The hatch of modelled numbers, once for the whole page.
function hatch() {
  return el("svg", { class: "hidden", width: 0, height: 0, "aria-hidden": "true" }, el("defs", {}, el("pattern", { id: "hatch", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    el("line", { x1: 0, y1: 0, x2: 0, y2: 5, stroke: "var(--paper)", "stroke-width": 2.6 }))));
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
const less_sure = (value) => value && value.marks && value.marks.length ? value.marks.join(", ") : "";
const flags = (value) => less_sure(value) ? el("span", { class: "interval" }, `* ${less_sure(value)}`) : null;
