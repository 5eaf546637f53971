// Tables: sortable, copied as CSV.
function table(columns, rows) {
  const body = el("tbody", {});
  const draw = (order) => body.replaceChildren(...order.map((row) => el("tr", { class: row.class }, ...columns.map((c) => cell(c, row)))));
  const cell = (c, row) => {
    const value = row.cells[c.key];
    if (value instanceof Node) return el("td", { class: c.text ? "text" : null }, value.cloneNode(true));
    if (value === null || value === undefined) return el("td", { class: "unknown", title: "unknown" }, "–");
    if (typeof value !== "object") return el("td", { class: c.text ? "text" : null }, String(value));
    if ((value.value === null || value.value === undefined) && value.range) return el("td", { title: explain(value) }, el("span", { class: value.provenance }, `${show(value.range.low, c.unit)}–${show(value.range.high, c.unit)}`), flags(value));
    if (value.value === null || value.value === undefined) return el("td", { class: "unknown", title: explain(value) }, "–");
    const td = el("td", { title: explain(value) }, el("span", { class: value.provenance || "measured" }, show(value.value, c.unit)));
    if (value.low !== undefined && value.low !== null) td.append(el("span", { class: "interval" }, `${show(value.low, c.unit)}–${show(value.high, c.unit)}`));
    td.append(flags(value) || "");
    return td;
  };
  const raw = (v) => v instanceof Node ? v.textContent : v && typeof v === "object" ? v.value : v;
  const sort = (c, th) => {
    const down = th.getAttribute("aria-sort") === "ascending";
    th.parentNode.querySelectorAll("th").forEach((t) => t.removeAttribute("aria-sort"));
    th.setAttribute("aria-sort", down ? "descending" : "ascending");
    draw([...rows].sort((a, b) => {
      const [x, y] = [raw(a.cells[c.key]), raw(b.cells[c.key])];
      if (x === null || x === undefined) return 1;
      if (y === null || y === undefined) return -1;
      return (down ? -1 : 1) * (typeof x === "number" ? x - y : String(x).localeCompare(String(y)));
    }));
  };
  const headRow = el("tr", {}, ...columns.map((c) => {
    const th = el("th", { title: c.help || "", class: c.text ? "text" : null, tabindex: 0 }, c.title);
    th.addEventListener("click", () => sort(c, th));
    th.addEventListener("keydown", (e) => { if (e.key === "Enter") sort(c, th); });
    return th;
  }));
  draw(rows);
  const copy = el("button", { type: "button" }, "copy as CSV");
  copy.addEventListener("click", async () => {
    const quote = (v) => v === null || v === undefined ? "" : /[",\n]/.test(String(v)) ? `"${String(v).replaceAll('"', '""')}"` : String(v);
    const text = [columns.map((c) => quote(c.title)), ...rows.map((r) => columns.map((c) => quote(raw(r.cells[c.key]))))].map((l) => l.join(",")).join("\n");
    try { await navigator.clipboard.writeText(text); copy.textContent = "copied"; } catch { copy.textContent = "copying was refused; use report.csv"; }
    setTimeout(() => { copy.textContent = "copy as CSV"; }, 2000);
  });
  return el("div", {}, el("div", { class: "scroll" }, el("table", {}, el("thead", {}, headRow), body)), copy);
}
