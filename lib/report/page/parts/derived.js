// Carbon and cost from measured or modelled joules and the reader's assumptions. Only derived numbers change.
function derived(d) {
  if (!d.rows.length) return;
  const box = section(d, "What that means in carbon and money");
  const inputs = el("div", { class: "inputs" }), out = el("div", {});
  const values = Object.fromEntries(d.assumptions.map((a) => [a.key, a.value])), titles = Object.fromEntries(d.assumptions.map((a) => [a.key, a.title]));
  const draw = () => {
    const unknown = (reason) => ({ value: null, reason });
    // A number of joules times a factor: its range and its marks stay on it.
    const derivedNumber = (j, keys) => {
      if (!j || j.value === null || j.value === undefined) return unknown("energy is unknown");
      for (const needed of keys) if (values[needed] === null || values[needed] === undefined) return unknown(`${titles[needed]} is unknown: enter one above`);
      const factor = keys.reduce((product, key) => product * values[key], 1 / 3.6e6);
      const times = (v) => v === null || v === undefined ? null : v * factor;
      const range = j.range ? { low: j.range.low * factor, high: j.range.high * factor } : null;
      return { value: j.value * factor, low: times(j.low), high: times(j.high), confidence: j.confidence, range, marks: j.marks, provenance: "assumed", help: `joules × ${keys.map((key) => titles[key]).join(" × ")}` };
    };
    // (E · I + M) per million tokens, a range because M is one.
    const sci = (j, tps) => {
      const operational = derivedNumber(j, ["pue", "intensity"]);
      if (operational.value === null) return operational;
      const { low, high } = operational.range || { low: operational.value, high: operational.value };
      for (const needed of ["embodied_low", "embodied_high"]) if (values[needed] === null || values[needed] === undefined) return unknown(`${titles[needed]} is unknown: enter one above`);
      if (!tps || !(tps.value > 0)) return unknown("how long a million tokens take is unknown");
      const hours = 1e6 / tps.value / 3600;
      return { value: null, range: { low: low + values.embodied_low * hours, high: high + values.embodied_high * hours }, marks: operational.marks, provenance: "assumed",
        help: "metered energy × PUE × grid, and the hardware for as long as it generates" };
    };
    const rows = d.rows.map((r) => ({ cells: { name: r.name, joules: r.joules, location: derivedNumber(r.joules, ["pue", "intensity"]), market: derivedNumber(r.joules, ["pue", "market"]),
      sci: sci(r.joules, r.tokens_per_second), water: derivedNumber(r.joules, ["water"]), cost: derivedNumber(r.joules, ["pue", "price"]) } }));
    out.replaceChildren(table([{ key: "name", title: d.name_title, text: true }, { key: "joules", title: d.joules_title }, { key: "location", title: "gCO2e, location-based" }, { key: "market", title: "gCO2e, market-based" },
      { key: "sci", title: "SCI, gCO2e per 1M tokens" }, { key: "water", title: "water, L" }, { key: "cost", title: `cost, ${d.currency}` }], rows, "Carbon, water and cost"));
  };
  for (const a of d.assumptions) {
    const input = el("input", { type: "number", step: "any", value: a.value, placeholder: "unknown", "aria-label": a.title });
    input.addEventListener("input", () => {
      const v = input.value.trim() === "" ? null : Number(input.value);
      if (v === null || (Number.isFinite(v) && v >= 0)) { values[a.key] = v; draw(); }
    });
    inputs.append(el("label", { title: a.source || "" }, a.title, input));
  }
  box.append(inputs, out);
  draw();
}
