// The report inside the page, and small makers of elements.
const R = JSON.parse(document.getElementById("report").textContent);
const main = document.getElementById("main");

const el = (tag, attributes = {}, ...children) => {
  const svg = ["svg", "g", "path", "line", "rect", "circle", "text", "pattern", "defs", "title", "polyline"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) node.setAttribute(key, value);
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
};
const section = (figure, fallback) => {
  const box = el("section", {}, el("h2", {}, figure.finding || fallback), el("p", { class: "sub" }, figure.description || ""));
  main.append(box);
  return box;
};

const behind = (label, node) => el("details", {}, el("summary", {}, label), node);
