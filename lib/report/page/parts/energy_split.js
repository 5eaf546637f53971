// The joules of a response in their parts.
function energySplit(f) {
  const box = section(f, "What the joules of a response go into");
  const parts = [["prefill", "var(--c5)"], ["decode", "var(--c0)"]];
  const total = (r) => parts.reduce((sum, [key]) => sum + r[key].value, 0);
  const idle = f.rows.some((r) => known(r.idle) && r.idle.value > 0);
  const most = Math.max(...f.rows.map((r) => Math.max(total(r), r.request && r.request.high || 0)), 1e-12);
  box.append(el("div", { class: "legend" }, ...[["prefill, reading the prompt", "var(--c5)"], ["decode, generating", "var(--c0)"], ...(idle ? [["of both: idle", "var(--teacher)"]] : [])].map(([text, fill]) =>
    el("span", {}, el("span", { class: "swatch", style: `background:${fill}` }), text))));
  drawing(box, `${f.finding}; the numbers follow as a table.`, (W) => {
    const lane = lanes(W), length = (v) => v / most * (W - lane.left - 92);
    const children = [];
    f.rows.forEach((r, i) => {
      const y = lane.y(i), row = el("g", {}, lane.label(r.name, i));
      let x = lane.left;
      for (const [key, fill] of parts) {
        row.append(bar(x, y, length(r[key].value), lane.bar, fill, r[key].provenance, `${r.name}, ${key}: ${explain(r[key])}`));
        x += length(r[key].value);
      }
      if (known(r.idle) && r.idle.value > 0) row.append(bar(lane.left, y + lane.bar + 1, length(r.idle.value), 3, "var(--teacher)", "measured", `${r.name}, idle: ${explain(r.idle)}`));
      const request = r.request || {};
      let end = x;
      if (request.low !== undefined && request.low !== null) {
        end = Math.max(x, lane.left + length(request.high));
        row.append(el("line", { x1: lane.left + length(request.low), x2: lane.left + length(request.high), y1: y + lane.bar / 2, y2: y + lane.bar / 2, stroke: "var(--ink)", "stroke-width": 1.5 }));
      }
      row.append(el("text", { x: end + 6, y: y + 11 }, `${digits(total(r))} J${less_sure(request) ? " *" : ""}`));
      children.push(row);
    });
    return { height: f.rows.length * lane.row + 6, children };
  });
  box.append(behind("the numbers", table([{ key: "name", title: f.name_title, text: true }, { key: "prefill", title: "prefill, J" }, { key: "decode", title: "decode, J" }, { key: "idle", title: "of both: idle, J" }, { key: "request", title: "response, J" }],
    f.rows.map((r) => ({ cells: { ...r, name: name(r.name) } })), "Joules of a response in their parts")));
}
