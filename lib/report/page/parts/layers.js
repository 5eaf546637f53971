// The error map: matrices by layers.
function layers(f) {
  if (!f.variants.length) return;
  const box = section(f, "Where the error sits");
  const figure = el("figure", {}), choices = el("div", { class: "choices" });
  const draw = (v) => {
    choices.querySelectorAll("button").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.name === v.name)));
    const cell = [Math.min(86, 700 / v.matrices.length), 24], L = 60, T = 22;
    const [W, H] = [L + cell[0] * v.matrices.length + 20, T + cell[1] * v.layers.length + 4];
    const values = v.values.flat().filter((e) => e !== null && e > 0);
    const [low, high] = [Math.log(f.low), Math.log(f.high)];
    const svg = el("svg", { viewBox: `0 0 ${Math.max(W, 700)} ${H}`, role: "img", "aria-label": f.finding || "" });
    v.matrices.forEach((m, j) => svg.append(el("text", { x: L + cell[0] * (j + .5), y: 14, "text-anchor": "middle" }, m)));
    v.layers.forEach((layer, i) => {
      svg.append(el("text", { x: L - 8, y: T + cell[1] * (i + .5) + 4, "text-anchor": "end" }, `layer ${layer}`));
      v.matrices.forEach((m, j) => {
        const e = v.values[i][j];
        const t = e === null ? null : e <= 0 ? 0 : Math.min(1, Math.max(0, (Math.log(e) - low) / (high - low || 1)));
        const fill = t === null ? "none" : `color-mix(in srgb, rgb(var(--heat-high)) ${Math.round(t * 100)}%, rgb(var(--heat-low)))`;
        const g = el("g", {}, el("rect", { x: L + cell[0] * j + 1, y: T + cell[1] * i + 1, width: cell[0] - 2, height: cell[1] - 2, rx: 2, style: `fill:${fill}`, stroke: "var(--line)" }));
        if (e !== null) g.append(el("text", { x: L + cell[0] * (j + .5), y: T + cell[1] * (i + .5) + 4, "text-anchor": "middle", style: t > 0.55 ? "fill:var(--paper)" : "fill:var(--soft)" }, e === 0 ? "0" : `${(100 * e).toPrecision(2)}%`),
          el("title", {}, `layer ${layer}, ${m}: relative output error ${e}`));
        svg.append(g);
      });
    });
    figure.replaceChildren(svg);
  };
  for (const v of f.variants) {
    const b = el("button", { type: "button", "data-name": v.name }, v.name);
    b.addEventListener("click", () => draw(v));
    choices.append(b);
  }
  box.append(choices, figure);
  draw(f.variants[0]);
}
