// The error map: matrices by layers.
function layers(f) {
  const box = section(f, "Where the error sits");
  const [low, high] = [Math.log(f.low), Math.log(f.high)];
  const heat = (e) => e === null ? null : e <= 0 ? 0 : Math.min(1, Math.max(0, (Math.log(e) - low) / (high - low || 1)));
  const map = (v) => (W) => {
    const L = 58, size = Math.min(92, (W - L) / v.matrices.length), row = 24, slanted = size < 66, T = slanted ? 58 : 22;
    const children = [];
    v.matrices.forEach((m, j) => {
      const x = L + size * (j + .5);
      children.push(slanted ? el("text", { x: x - 4, y: T - 6, transform: `rotate(-40 ${x - 4} ${T - 6})` }, shorten(m, 12)) : el("text", { x, y: 14, "text-anchor": "middle" }, shorten(m, 14)));
    });
    v.layers.forEach((layer, i) => {
      children.push(el("text", { x: L - 8, y: T + row * (i + .5) + 4, "text-anchor": "end" }, `layer ${layer}`));
      v.matrices.forEach((m, j) => {
        const e = v.values[i][j], t = heat(e);
        const fill = t === null ? "none" : `color-mix(in srgb, rgb(var(--heat-high)) ${Math.round(t * 100)}%, rgb(var(--heat-low)))`;
        const g = el("g", {}, el("rect", { x: L + size * j + 1, y: T + row * i + 1, width: size - 2, height: row - 2, rx: 2, style: `fill:${fill}`, stroke: "var(--line)" }));
        if (e !== null && size >= 40) g.append(el("text", { x: L + size * (j + .5), y: T + row * (i + .5) + 4, "text-anchor": "middle", style: t > 0.5 ? "fill:var(--paper)" : "fill:var(--ink)" }, e === 0 ? "0" : `${Number((100 * e).toPrecision(2))}%`));
        g.append(el("title", {}, `layer ${layer}, ${m}: relative output error ${e ?? "unknown"}`));
        children.push(g);
      });
    });
    return { height: T + row * v.layers.length + 4, children };
  };
  const place = el("div", {});
  const draw = (v) => {
    place.replaceChildren();
    drawing(place, `Relative output error of each matrix after ${v.name}, ${v.layers.length} layers; the numbers follow as a table.`, map(v));
    place.append(behind("the numbers", table([{ key: "layer", title: "layer", text: true }, ...v.matrices.map((m) => ({ key: m, title: m }))],
      v.layers.map((layer, i) => ({ cells: { layer: `layer ${layer}`, ...Object.fromEntries(v.matrices.map((m, j) => [m, unitOf(v.values[i][j])])) } })), `Relative output error after ${v.name}`)));
  };
  const select = el("select", {}, ...f.variants.map((v, i) => el("option", { value: i }, v.name)));
  select.addEventListener("change", () => draw(f.variants[select.value]));
  if (f.variants.length > 1) box.append(el("div", { class: "inputs" }, el("label", {}, "after the step", select)));
  box.append(place);
  draw(f.variants[0]);
}
