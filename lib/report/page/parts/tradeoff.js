// Quality against cost: a point for each, with intervals.

// Where a point's name may stand: beside it first, then farther off on a leader.
const PLACES = [[9, 4, "start"], [-9, 4, "end"], [0, -11, "middle"], [0, 20, "middle"], [8, -9, "start"], [8, 18, "start"], [-8, -9, "end"], [-8, 18, "end"],
  [22, -22, "start"], [22, 30, "start"], [-22, -22, "end"], [-22, 30, "end"], [34, -40, "start"], [34, 48, "start"], [-34, -40, "end"], [-34, 48, "end"]];

// Names that lie neither on each other nor on points nor outside; null for those that find no place.
function placeNames(points, bounds) {
  const taken = points.map((p) => ({ left: p.x - 7, right: p.x + 7, top: p.y - 7, bottom: p.y + 7 }));
  return points.map((p) => {
    const width = wordWidth(p.text) + 4;
    for (const [dx, dy, anchor] of PLACES) {
      const left = p.x + dx - (anchor === "end" ? width : anchor === "middle" ? width / 2 : 0);
      const box = { left, right: left + width, top: p.y + dy - 11, bottom: p.y + dy + 3 };
      if (box.left < bounds.left || box.right > bounds.right || box.top < bounds.top || box.bottom > bounds.bottom) continue;
      if (taken.some((t) => t.left < box.right && box.left < t.right && t.top < box.bottom && box.top < t.bottom)) continue;
      taken.push(box);
      return { x: p.x + dx, y: p.y + dy, anchor, leader: Math.abs(dx) > 20 };
    }
    return null;
  });
}

const OPACITY = { front: 1, unsure: 0.75, beaten: 0.35 };

// What an axis shows: all values, and of their intervals as much as the values span on either side: one that is very wide must not
// press the points together.
function shown(numbers, pad, log) {
  const [from, to] = extent(numbers, pad, log);
  const values = numbers.map((n) => n.value).filter((v) => !log || v > 0);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (log) {
    const room = Math.max(high / low, 2);
    return [Math.max(from, low / room), Math.min(to, high * room)];
  }
  const room = Math.max(high - low, Math.abs(high) / 10);
  return [Math.max(from, low - room), Math.min(to, high + room)];
}

// An interval along an axis, from `a` to `b`, as far as it is shown; an arrow where it goes on.
function reach(a, b, ends, across, upright, color) {
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const place = (v, w) => upright ? `${w},${v}` : `${v},${w}`;
  const [from, to] = [a, b].map((v) => Math.min(Math.max(v, low), high));
  const g = el("g", {}, el("path", { d: `M${place(from, across)}L${place(to, across)}`, stroke: color, "stroke-width": 1.5, fill: "none" }));
  for (const [v, shownAt] of [[a, from], [b, to]]) {
    if (Math.abs(v - shownAt) < 0.5) continue;
    const back = shownAt + (v < shownAt ? 6 : -6);
    g.append(el("path", { d: `M${place(shownAt, across)}L${place(back, across - 4)}L${place(back, across + 4)}Z`, fill: color }));
  }
  return g;
}

function point(f, p, at, x, y) {
  const c = shade(p.model), [px, py] = [at.x, at.y];
  const g = el("g", { opacity: OPACITY[p.place] });
  if (p.y.low !== undefined && p.y.low !== null) g.append(reach(y(p.y.low), y(p.y.high), y.ends, px, true, c));
  if (p.x.low !== undefined && p.x.low !== null && (!f.x_log || p.x.low > 0)) g.append(reach(x(p.x.low), x(p.x.high), x.ends, py, false, c));
  const assumed = p.x.provenance === "assumed";
  g.append(el("circle", { cx: px, cy: py, r: 5.5, fill: assumed ? "var(--paper)" : c, stroke: c, "stroke-width": 1.5, "stroke-dasharray": assumed ? "1.5 2" : null }));
  if (p.x.provenance === "modelled") g.append(el("circle", { cx: px, cy: py, r: 5, fill: "url(#hatch)" }));
  g.append(el("title", {}, `${p.model}\n${f.y_title}: ${explain(p.y)}\n${f.x_title}: ${explain(p.x)}`));
  return g;
}

function tradeoff(f) {
  const box = section(f, "Quality against cost");
  const rank = { front: 0, unsure: 1, beaten: 2 };
  const points = [...f.points].sort((a, b) => (rank[a.place] - rank[b.place]) || (a.x.value - b.x.value));
  const unsure = points.filter((p) => less_sure(p.x) || less_sure(p.y));
  const left_out = el("p", { class: "sub" });
  drawing(box, `${f.finding}. ${f.y_title} against ${f.x_title}, ${points.length} points; the numbers follow as a table.`, (W) => {
    const [L, B, T, E] = [58, 46, 26, 18], H = Math.round(Math.min(420, Math.max(280, W * 0.5)));
    const x = scale(...shown(points.map((p) => p.x), f.x_log ? 0.35 : 0.12, f.x_log), L, W - E, f.x_log, f.x_unit);
    const y = scale(...shown(points.map((p) => p.y), 0.1, false), H - B, T, false, f.y_unit);
    const children = [];
    for (const t of y.ticks) children.push(el("line", { class: "axis", x1: L, x2: W - E, y1: y(t), y2: y(t) }), el("text", { x: L - 8, y: y(t) + 4, "text-anchor": "end" }, onAxis(t, f.y_unit)));
    for (const t of x.ticks) children.push(el("line", { class: "axis", x1: x(t), x2: x(t), y1: H - B, y2: H - B + 5 }), el("text", { x: x(t), y: H - B + 19, "text-anchor": "middle" }, onAxis(t, f.x_unit)));
    children.push(el("line", { class: "frame", x1: L, x2: W - E, y1: H - B, y2: H - B }),
      el("text", { x: (L + W - E) / 2, y: H - 6, "text-anchor": "middle" }, f.x_title + (f.x_log ? " (log scale)" : "")),
      el("text", { x: 0, y: 12 }, f.y_title));
    const front = points.filter((p) => p.place === "front").sort((a, b) => a.x.value - b.x.value);
    children.push(el("polyline", { points: front.map((p) => `${x(p.x.value)},${y(p.y.value)}`).join(" "), fill: "none", stroke: "var(--faint)", "stroke-dasharray": "3 4" }));
    const at = points.map((p) => ({ x: x(p.x.value), y: y(p.y.value), text: shorten(p.model, W < 620 ? 20 : 26) + (less_sure(p.x) || less_sure(p.y) ? " *" : "") }));
    const names = placeNames(at, { left: L + 2, right: W, top: 16, bottom: H - B });
    for (let i = points.length - 1; i >= 0; i--) {
      if (names[i] && names[i].leader) children.push(el("line", { class: "axis", x1: at[i].x, y1: at[i].y, x2: names[i].x, y2: names[i].y - 4 }));
      children.push(point(f, points[i], at[i], x, y));
    }
    names.forEach((n, i) => { if (n) children.push(el("text", { class: "label", x: n.x, y: n.y, "text-anchor": n.anchor, opacity: points[i].place === "beaten" ? 0.6 : null }, at[i].text)); });
    const missing = names.filter((n) => !n).length;
    const beyond = points.some((p) => [[p.x, x], [p.y, y]].some(([n, axis]) => [n.low, n.high].some((v) => v !== undefined && v !== null &&
      (axis(v) < Math.min(...axis.ends) - 0.5 || axis(v) > Math.max(...axis.ends) + 0.5))));
    const arrows = beyond ? "An interval that ends in an arrow goes on beyond the drawing. " : "";
    left_out.textContent = arrows + (missing ? `${missing} of ${points.length} names found no place beside their points: hover these, or open the numbers.` : "");
    return { height: H, children };
  });
  box.append(left_out);
  if (unsure.length) box.append(el("p", { class: "note" }, `* less sure: ${[...new Set(unsure.flatMap((p) => [...(p.x.marks || []), ...(p.y.marks || [])]))].join(", ")}`));
  const PLACE = { front: "none beats it", unsure: "behind, not told apart", beaten: "beaten" };
  box.append(behind("the numbers", table([{ key: "model", title: f.x === "weight_bytes" ? "model" : "artifact", text: true }, { key: "x", title: f.x_title, unit: f.x_unit }, { key: "y", title: f.y_title, unit: f.y_unit }, { key: "place", title: "place", text: true }],
    f.points.map((p) => ({ cells: { model: name(p.model), x: p.x, y: p.y, place: PLACE[p.place] } })), "Quality against cost")));
}
