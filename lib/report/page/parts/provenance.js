// Where every number comes from.
function provenance(p) {
  const box = section({ finding: "Where every number comes from", description: "Hashes, meters, machine and the exact options of each step; report.json holds the same in full." }, "");
  const list = (object) => table([{ key: "k", title: "", text: true }, { key: "v", title: "", text: true }], Object.entries(object).map(([k, v]) => ({ cells: { k, v: el("code", {}, typeof v === "object" ? JSON.stringify(v) : String(v)) } })));
  box.append(behind("machine", list(p.machine)));
  if (p.meters.length) box.append(behind("meters", table([{ key: "name", title: "meter", text: true }, { key: "scope", title: "scope", text: true }, { key: "provenance", title: "provenance", text: true }, { key: "detail", title: "detail", text: true }], p.meters.map((m) => ({ cells: m })))));
  if (p.files.length) box.append(behind("files", table([{ key: "path", title: "file", text: true }, { key: "bytes", title: "size", unit: "bytes" }, { key: "sha256", title: "SHA-256", text: true }], p.files.map((f) => ({ cells: { ...f, bytes: { value: f.bytes }, sha256: el("code", {}, f.sha256) } })))));
  box.append(behind("steps and options", table([{ key: "step", title: "step", text: true }, { key: "key", title: "key", text: true }, { key: "options", title: "options", text: true }], p.steps.map((s) => ({ cells: { step: s.step, key: el("code", {}, s.key), options: el("code", {}, JSON.stringify(s.options)) } })))));
  if (p.warnings.length) box.append(el("h3", {}, "Warnings"), el("ul", { class: "note" }, ...p.warnings.map((w) => el("li", {}, w))));
}
