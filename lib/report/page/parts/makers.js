// The report inside the page, and small makers of elements.
const R = JSON.parse(document.getElementById("report").textContent);
const main = document.getElementById("main");

const SVG = new Set(["svg", "g", "path", "line", "rect", "circle", "text", "pattern", "defs", "title", "polyline"]);
const el = (tag, attributes = {}, ...children) => {
  const node = SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) node.setAttribute(key, value);
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
};

// A figure's part of the page: its title is its finding.
let sections = 0;
const section = (figure, fallback) => {
  const id = `section-${++sections}`;
  const box = el("section", { "aria-labelledby": id }, el("h2", { id }, figure.finding || fallback), figure.description ? el("p", { class: "sub" }, figure.description) : null);
  main.append(box);
  return box;
};

const behind = (label, ...nodes) => el("details", {}, el("summary", {}, label), ...nodes);

// A drawing in the pixels there are: drawn again where its width changes, so that its words stay readable on any screen.
// `draw(width)` gives the svg's children and its height.
const widths = new ResizeObserver((entries) => entries.forEach((e) => e.target.fit()));
function drawing(box, label, draw) {
  const figure = el("figure", {});
  let drawn = 0;
  figure.fit = () => {
    const width = Math.round(Math.max(240, figure.clientWidth || 900));
    if (width === drawn) return;
    drawn = width;
    const { height, children } = draw(width);
    figure.replaceChildren(el("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...children));
  };
  box.append(figure);
  figure.fit();
  widths.observe(figure);
  return figure;
}

// How wide a figure's name is drawn, in pixels: the font of page.css.
const ruler = document.createElement("canvas").getContext("2d");
ruler.font = '600 12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
const wordWidth = (text) => ruler.measureText(text).width;

// Rows of bars: names to the left, or above where there is no room beside.
function lanes(width, left = 200) {
  const narrow = width < 620;
  const label = (text, i, extra = {}) => el("text", { class: "label", x: 0, y: narrow ? i * 42 + 13 : i * 26 + 15, ...extra }, shorten(text, narrow ? Math.floor(width / 9) : 27));
  return { narrow, left: narrow ? 0 : left, row: narrow ? 42 : 26, bar: 13, y: (i) => narrow ? i * 42 + 19 : i * 26 + 5, label };
}
