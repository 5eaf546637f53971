// What each step cost.
function steps(f) {
  const box = section(f, "What each step cost");
  const rows = f.rows, row = 24, W = 900, L = 190, H = rows.length * row + 26;
  const half = (W - L - 150) / 2;
  const longest = Math.max(...rows.map((r) => r.seconds || 0), 1e-9), most = Math.max(...rows.map((r) => r.energy.value || 0), 1e-9);
  const svg = el("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": f.finding || "" }, hatch(),
    el("text", { x: L, y: 12 }, "time"), el("text", { x: L + half + 75, y: 12 }, "energy"));
  rows.forEach((r, i) => {
    const y = 20 + i * row;
    svg.append(el("g", { opacity: r.cached ? 0.5 : 1 }, el("text", { class: "label", x: 0, y: y + 13 }, shorten(r.step, 25)),
      bar(L, y + 3, (r.seconds || 0) / longest * half, row - 10, "var(--c5)", "measured", `${r.step}: ${r.seconds} s${r.cached ? " (of the run that made the cached result)" : ""}`),
      el("text", { x: L + (r.seconds || 0) / longest * half + 6, y: y + 13 }, seconds(r.seconds || 0)),
      ...(r.energy.value === null ? [el("text", { x: L + half + 75, y: y + 13 }, "unknown")] : [
        bar(L + half + 75, y + 3, r.energy.value / most * half, row - 10, "var(--c4)", r.energy.provenance, explain(r.energy)),
        el("text", { x: L + half + 75 + r.energy.value / most * half + 6, y: y + 13 }, `${digits(r.energy.value)} J`)])));
  });
  box.append(el("figure", {}, svg));
  const columns = [{ key: "step", title: "step", text: true }, { key: "pass", title: "pass", text: true }, { key: "seconds", title: "time", unit: "seconds" }, { key: "energy", title: "energy, J" },
    { key: "peak_memory", title: "peak memory", unit: "bytes" }, { key: "cached", title: "from cache", text: true }];
  box.append(behind("the numbers", table(columns, rows.map((r) => ({ cells: { ...r, seconds: { value: r.seconds }, peak_memory: { value: r.peak_memory_bytes }, cached: r.cached ? "yes" : "no" } })))));
}
