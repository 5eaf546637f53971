// What each step cost, the variants of one together.
function steps(f) {
  const box = section(f, "What each step cost");
  const groups = f.groups;
  const longest = Math.max(...groups.map((g) => g.seconds || 0), 1e-9), most = Math.max(...groups.map((g) => g.energy.value || 0), 1e-9);
  drawing(box, `${f.finding}. Time and energy of ${groups.length} steps; the numbers follow as a table.`, (W) => {
    const lane = lanes(W), top = 18, gap = 78, half = (W - lane.left) / 2 - gap, second = lane.left + half + gap;
    const children = [el("text", { x: lane.left, y: 12 }, "time"), el("text", { x: second, y: 12 }, "energy")];
    groups.forEach((g, i) => {
      const y = top + lane.y(i), length = (g.seconds || 0) / longest * half;
      const row = el("g", { opacity: g.cached === g.variants ? 0.55 : 1 }, lane.label(g.step, i, { transform: `translate(0 ${top})` }),
        bar(lane.left, y, length, lane.bar, "var(--c5)", "measured", `${g.step}: ${g.seconds} s${g.cached ? `, ${g.cached} of ${g.variants} from the cache` : ""}`),
        el("text", { x: lane.left + length + 6, y: y + 11 }, seconds(g.seconds || 0)));
      if (!known(g.energy)) row.append(el("text", { x: second, y: y + 11 }, "unknown"));
      else {
        const energy = g.energy.value / most * half;
        row.append(bar(second, y, energy, lane.bar, "var(--c4)", g.energy.provenance, explain(g.energy)), el("text", { x: second + energy + 6, y: y + 11 }, `${digits(g.energy.value)} J${less_sure(g.energy) ? " *" : ""}`));
      }
      children.push(row);
    });
    return { height: top + groups.length * lane.row + 6, children };
  });
  const columns = [{ key: "step", title: "step", text: true }, { key: "pass", title: "pass", text: true }, { key: "seconds", title: "time", unit: "seconds" }, { key: "energy", title: "energy, J" },
    { key: "peak_memory", title: "peak memory", unit: "bytes" }, { key: "cached", title: "from cache", text: true }];
  box.append(behind(f.rows.length === 1 ? "the numbers" : `each of the ${f.rows.length} steps`, table(columns, f.rows.map((r) => ({ cells: { ...r, seconds: { value: r.seconds }, peak_memory: { value: r.peak_memory_bytes }, cached: r.cached ? "yes" : "no" } })), "Steps and what they cost")));
}
