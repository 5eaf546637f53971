// Where every number comes from.
function warnings(box, list) {
  box.append(el("h3", {}, list.length === 1 ? "One warning" : `${list.length} warnings`), el("ul", { class: "note" }, ...list.map((w) =>
    el("li", {}, w.text, " ", el("span", { class: "where" }, w.steps.length > 3 ? `(${w.steps.slice(0, 2).join(", ")} and ${w.steps.length - 2} other steps)` : `(${w.steps.join(", ")})`)))));
}

function provenance(p) {
  const box = section({ finding: "Where every number comes from", description: "Hashes, meters, machine and the exact options of each step; report.json holds the same in full." }, "");
  const code = (text) => el("code", {}, text);
  const list = (object, title) => table([{ key: "k", title, text: true }, { key: "v", title: "value", text: true }], Object.entries(object).map(([k, v]) => ({ cells: { k, v: code(typeof v === "object" ? JSON.stringify(v) : String(v)) } })), title);
  if (p.warnings.length) warnings(box, p.warnings);
  box.append(behind("machine", list(p.machine, "machine")));
  if (p.meters.length) box.append(behind("meters", table([{ key: "name", title: "meter", text: true }, { key: "scope", title: "scope", text: true }, { key: "provenance", title: "provenance", text: true }, { key: "detail", title: "detail", text: true }], p.meters.map((m) => ({ cells: m })), "Meters")));
  if (p.files.length) box.append(behind("files", table([{ key: "path", title: "file", text: true }, { key: "bytes", title: "size", unit: "bytes" }, { key: "sha256", title: "SHA-256", text: true }], p.files.map((f) => ({ cells: { ...f, bytes: { value: f.bytes }, sha256: code(f.sha256) } })), "Files")));
  box.append(behind("steps and options", table([{ key: "step", title: "step", text: true }, { key: "key", title: "key", text: true }, { key: "options", title: "options", text: true }], p.steps.map((s) => ({ cells: { step: s.step, key: code(s.key), options: code(JSON.stringify(s.options)) } })), "Steps and their options")));
}
