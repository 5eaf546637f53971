// What inference costs in frugal's own forward, by architecture.
function architectures(f) {
  const box = section(f, "What inference costs");
  box.append(table([{ key: "architecture", title: "architecture", text: true }, { key: "models", title: "models", text: true }, ...f.columns],
    f.rows.map((r) => ({ cells: { ...r.cells, architecture: r.architecture, models: r.models.join(", ") } })), "Inference in frugal's own forward"));
}
