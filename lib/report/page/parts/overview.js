// The tables: artifacts in the runtimes that serve them, then the checkpoints.
function served(f) {
  const box = section(f, "Artifacts in their runtimes");
  const columns = [{ key: "name", title: "artifact in its runtime", text: true }, ...f.columns];
  const served_in = (r) => el("span", {}, name(r.label), " ", el("span", { class: "interval" }, r.engine));
  box.append(table(columns, f.rows.map((r) => ({ class: r.role === "baseline" ? "baseline" : null, cells: { ...r.cells, name: served_in(r) } })), "Artifacts in the runtimes that serve them"));
}

function overview(f) {
  const rows = R.models.filter((m) => !R.served.some((s) => s.model === m.name));
  if (!rows.length) return;
  const box = section(f, "Every model beside the baseline");
  box.append(table([{ key: "model", title: "model", text: true }, ...R.columns], rows.map((m) => ({ class: m.role === "baseline" ? "baseline" : null, cells: { ...m.cells, model: name(m.name) } })), "Models and their numbers"));
}
