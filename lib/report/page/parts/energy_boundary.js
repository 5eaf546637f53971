// What the joules are of.
function energyBoundary(f) {
  const box = section(f, "What the joules are of");
  const items = (texts) => el("ul", {}, ...texts.map((text) => el("li", {}, text)));
  for (const b of f.boundaries) {
    box.append(el("p", {}, `${b.functional_unit}: ${b.reference_flow}; ${b.software_boundary}.`));
    if (f.boundaries.length > 1) box.append(el("p", { class: "sub" }, b.steps.join(", ")));
    box.append(el("p", {}, b.inside.length ? "Inside:" : "Inside: nothing that is metered"), items(b.inside), el("p", {}, "Outside:"), items(b.outside));
  }
  const share = { unit: "fraction" };
  box.append(behind("shares of the gross energy", table([{ key: "source", title: "step", text: true }, { key: "engine", title: "computed by", text: true }, { key: "accelerator", title: "accelerator", ...share }, { key: "host", title: "host", ...share },
    { key: "whole_machine", title: "whole machine", ...share }, { key: "idle", title: "of it idle", ...share }], f.rows.map((r) => ({ cells: { ...r, engine: r.engine || null } })), "Shares of the gross energy")));
  if (f.idle.length) box.append(behind("idle power before and after", table([{ key: "source", title: "step", text: true }, { key: "when", title: "when", text: true }, { key: "meter", title: "meter", text: true }, { key: "watts", title: "W" }], f.idle.map((r) => ({ cells: r })), "Idle power before and after")));
  if (f.conditions.length) box.append(behind("state of the devices", table([{ key: "source", title: "step", text: true }, { key: "meter", title: "meter", text: true }, { key: "told", title: "from its beginnings to its ends", text: true }, { key: "not", title: "not told by it", text: true }],
    f.conditions.map((r) => ({ cells: { source: r.source, meter: r.meter, told: r.told.join(", ") || null, not: r.not_told.join(", ") || null } })), "State of the devices")));
}
