// Tables: sortable, copied as CSV. Where one has no room for all of its columns, each row becomes a card that holds them all.
const unitOf = (value) => typeof value === "number" ? { value } : value;
const raw = (v) => v instanceof Node ? v.textContent : v && typeof v === "object" ? v.value : v;

function cellOf(column, value) {
  const attributes = { class: column.text ? "text" : null, role: "cell", "data-title": column.title };
  const unknown = (why) => el("td", { ...attributes, class: column.text ? "unknown text" : "unknown", title: why }, el("span", { "aria-label": "unknown" }, "–"));
  if (value instanceof Node) return el("td", attributes, value.cloneNode(true));
  if (value === null || value === undefined) return unknown("unknown");
  if (typeof value !== "object") return el("td", attributes, String(value));
  const range = (v) => {
    const [low, high] = [show(v.low, column.unit), show(v.high, column.unit)], unit = / \S+$/;
    const between = v.low < 0 ? " to " : "–";
    return (unit.exec(low) || [""])[0] === (unit.exec(high) || [""])[0] ? `${low.replace(unit, "")}${between}${high}` : `${low}${between}${high}`;
  };
  if (!known(value) && !value.range) return unknown(explain(value));
  const td = el("td", { ...attributes, title: explain(value) }, el("span", { class: value.provenance || "measured" }, known(value) ? show(value.value, column.unit) : range(value.range)));
  if (known(value) && value.low !== undefined && value.low !== null && value.low !== value.high) td.append(el("span", { class: "interval" }, range(value)));
  td.append(flags(value) || "");
  return td;
}

// Whether the table fits is asked as a table.
const fits = new ResizeObserver((entries) => entries.forEach((e) => e.target.fit()));
function fitted(table) {
  const box = el("div", { class: "scroll" }, table);
  let asked = 0;
  box.fit = () => {
    if (box.clientWidth === 0 || box.clientWidth === asked) return;
    asked = box.clientWidth;
    table.classList.remove("cards");
    table.classList.toggle("cards", box.scrollWidth > box.clientWidth);
  };
  fits.observe(box);
  return box;
}

function csvButton(columns, rows) {
  const copy = el("button", { type: "button", class: "copy" }, "copy as CSV");
  copy.addEventListener("click", async () => {
    const quote = (v) => v === null || v === undefined ? "" : /[",\n]/.test(String(v)) ? `"${String(v).replaceAll('"', '""')}"` : String(v);
    const text = [columns.map((c) => quote(c.title)), ...rows.map((r) => columns.map((c) => quote(raw(r.cells[c.key]))))].map((l) => l.join(",")).join("\n");
    try { await navigator.clipboard.writeText(text); copy.textContent = "copied"; } catch { copy.textContent = "copying was refused; use report.csv"; }
    setTimeout(() => { copy.textContent = "copy as CSV"; }, 2000);
  });
  return copy;
}

// `columns` [{key, title, unit, help, text}], `rows` [{class, cells {key: number, text or node}}]; the first column names the row.
function table(columns, rows, caption) {
  const body = el("tbody", { role: "rowgroup" });
  const line = (row) => {
    const cells = columns.map((c) => cellOf(c, row.cells[c.key]));
    const first = el("th", { scope: "row", role: "rowheader", class: "text" });
    first.append(...cells[0].childNodes);
    return el("tr", { class: row.class, role: "row" }, first, ...cells.slice(1));
  };
  const fill = (order) => body.replaceChildren(...order.map(line));
  const sort = (c, th) => {
    const down = th.getAttribute("aria-sort") === "ascending";
    th.parentNode.querySelectorAll("th").forEach((t) => t.removeAttribute("aria-sort"));
    th.setAttribute("aria-sort", down ? "descending" : "ascending");
    fill([...rows].sort((a, b) => {
      const [x, y] = [raw(a.cells[c.key]), raw(b.cells[c.key])];
      if (x === null || x === undefined) return 1;
      if (y === null || y === undefined) return -1;
      return (down ? -1 : 1) * (typeof x === "number" ? x - y : String(x).localeCompare(String(y)));
    }));
  };
  const heads = columns.map((c) => {
    const th = el("th", { scope: "col", role: "columnheader", class: c.text ? "text" : null }, el("button", { type: "button", title: c.help || `sort by ${c.title}` }, c.title));
    th.addEventListener("click", () => sort(c, th));
    return th;
  });
  fill(rows);
  const whole = el("table", { role: "table" }, caption ? el("caption", {}, caption) : null, el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads)), body);
  return el("div", {}, fitted(whole), csvButton(columns, rows));
}
