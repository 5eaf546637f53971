// Every model beside the baseline.
function overview(f) {
  const box = section(f, "Every model beside the baseline");
  box.append(table([{ key: "model", title: "model", text: true }, ...R.columns], R.models.map((m) => ({ class: m.role === "baseline" ? "baseline" : null, cells: { model: name(m.name), ...m.cells } }))));
}
