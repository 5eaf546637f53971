// Total cost of ownership: three scenarios from inputs with bounds, what one input alone moves, and when making a model is paid
// back. The arithmetic is that of lib/energy/tco.cpp. What was measured stands; assumptions are the reader's to edit.
const TCO_LIMITS = { hardware_price: [0, 1e12], lifetime_years: [0.1, 50], interest_rate: [0, 1], fixed_per_year: [0, 1e12], utilization: [1e-6, 1], load_watts: [0, 1e7],
  idle_watts: [0, 1e7], tokens_per_second: [1e-9, 1e12], pue: [1, 4], price_per_kwh: [0, 1e5], one_off_cost: [0, 1e12] };

function tcoParts(v) {
  const millions = v.tokens_per_second * v.utilization * 3600 * 8760 / 1e6;
  const recovery = v.interest_rate > 0 ? v.interest_rate / -Math.expm1(-v.lifetime_years * Math.log1p(v.interest_rate)) : 1 / v.lifetime_years;
  const kilowatts = (v.utilization * v.load_watts + (1 - v.utilization) * v.idle_watts) * v.pue / 1000;
  const parts = { capital: v.hardware_price * recovery / millions, fixed: (v.fixed_per_year || 0) / millions, energy: kilowatts * 8760 * v.price_per_kwh / millions,
    one_off: (v.one_off_cost || 0) / (millions * v.lifetime_years) };
  return { ...parts, running: parts.capital + parts.fixed + parts.energy, total: parts.capital + parts.fixed + parts.energy + parts.one_off };
}

// {unknown} or {favorable, expected, unfavorable, bars}: of inputs {key, title, needed, low, expected, high}.
function tcoOf(inputs) {
  const missing = inputs.filter((i) => i.needed && i.expected === null).map((i) => i.title);
  if (missing.length) return { unknown: `not known: ${missing.join(", ")}` };
  const given = inputs.filter((i) => i.expected !== null);
  for (const i of given) {
    const [least, most] = TCO_LIMITS[i.key];
    if (!(i.low >= least && i.low <= i.expected && i.expected <= i.high && i.high <= most)) return { unknown: `${i.title} must lie within ${least} and ${most}, its low at or below what is expected, its high at or above` };
  }
  const expected = Object.fromEntries(given.map((i) => [i.key, i.expected]));
  const best = { ...expected }, worst = { ...expected }, bars = [];
  for (const i of given.filter((i) => i.low !== i.high)) {
    const [low, high] = [i.low, i.high].map((value) => tcoParts({ ...expected, [i.key]: value }).total);
    bars.push({ title: i.title, at_low: low, at_high: high, low: Math.min(low, high), high: Math.max(low, high), from: i.low, to: i.high, unit: i.unit });
    best[i.key] = low <= high ? i.low : i.high;
    worst[i.key] = low <= high ? i.high : i.low;
  }
  bars.sort((a, b) => (b.high - b.low) - (a.high - a.low));
  return { favorable: tcoParts(best), expected: tcoParts(expected), unfavorable: tcoParts(worst), bars };
}

function tco(f) {
  const box = section(f, "What serving costs, all counted");
  const shared = f.inputs.map((i) => ({ ...i }));
  let chosen = 0, daily = null;  // million tokens a day
  const out = el("div", {}), choices = el("div", { class: "choices" }), sensitivity = el("div", {});
  const money = (value, help) => ({ value, provenance: "assumed", help });
  const unknown = (reason) => ({ value: null, reason });

  const paidBack = (row, results) => {
    const reason = f.rows[row].break_even.reason;
    const against = f.rows[row].against;
    const mine = results[row], theirs = against === null ? null : results[against];
    const making = f.rows[row].inputs.find((i) => i.key === "one_off_cost");
    if (!theirs) return unknown(reason);
    if (mine.unknown || theirs.unknown) return unknown(mine.unknown || theirs.unknown);
    if (making.expected === null) return unknown(making.source);
    const saved = theirs.expected.running - mine.expected.running;
    return saved > 0 ? money(making.expected / saved, "what making it cost, by what a million tokens cost less than with the baseline") : unknown("nothing is saved: never");
  };

  const draw = () => {
    const results = f.rows.map((r) => tcoOf([...r.inputs, ...shared]));
    const columns = [{ key: "name", title: "served", text: true }, { key: "engine", title: "by", text: true }, { key: "favorable", title: "at best" }, { key: "expected", title: `expected, ${f.currency} per 1M tokens` },
      { key: "unfavorable", title: "at worst" }, { key: "capital", title: "hardware" }, { key: "energy", title: "energy" }, { key: "fixed", title: "fixed" }, { key: "one_off", title: "making it" },
      { key: "tokens", title: "paid back after, M tokens" }, { key: "days", title: "days" }];
    out.replaceChildren(table(columns, f.rows.map((r, row) => {
      const t = results[row], part = (key) => t.unknown ? unknown(t.unknown) : money(t.expected[key], "of the expected total");
      const optional = (key, input) => [...r.inputs, ...shared].find((i) => i.key === input).expected === null ? unknown("not included") : part(key);
      const tokens = paidBack(row, results);
      const days = tokens.value === null ? tokens : daily > 0 ? { ...tokens, value: tokens.value / daily, help: "at the load above" } : unknown("enter a load above");
      const total = (scenario) => t.unknown ? unknown(t.unknown) : money(t[scenario].total, r.workload);
      return { cells: { name: el("span", { "data-total": t.unknown ? "unknown" : [t.favorable.total, t.expected.total, t.unfavorable.total].join(" "), title: r.models.join(", ") }, shorten(r.name)), engine: r.engine,
        favorable: total("favorable"), expected: total("expected"), unfavorable: total("unfavorable"), capital: part("capital"), energy: part("energy"), fixed: optional("fixed", "fixed_per_year"), one_off: optional("one_off", "one_off_cost"), tokens, days } };
    }), "Total cost of ownership"));
    const reasons = [...new Set(results.filter((t) => t.unknown).map((t) => t.unknown))];
    if (reasons.length) out.append(el("p", { class: "note" }, `The total is unknown. ${reasons.join("; ")}. Enter it below.`));
    choices.querySelectorAll("button").forEach((b, i) => b.setAttribute("aria-pressed", String(i === chosen)));
    bars(results[chosen]);
  };

  // One bar for each input that is not known exactly: from the total at one of its bounds to that at the other.
  const bars = (t) => {
    sensitivity.replaceChildren();
    if (t.unknown || !t.bars.length) return;
    const low = Math.min(...t.bars.map((b) => b.low)), high = Math.max(...t.bars.map((b) => b.high));
    const at = (value) => `${(100 * (value - low) / (high - low || 1)).toFixed(2)}%`;
    const line = (b) => el("div", { style: "display:grid;grid-template-columns:minmax(7rem,13rem) 1fr;gap:.6rem;align-items:center;margin:.25rem 0;font-size:.84rem",
      title: `${b.title} from ${b.from} to ${b.to} ${b.unit}: ${digits(b.at_low)} to ${digits(b.at_high)} ${f.currency} per 1M tokens` },
      el("span", {}, b.title),
      el("div", { style: "position:relative;height:1.4em;background:var(--panel)", role: "img", "aria-label": `${b.title}: ${digits(b.low)} to ${digits(b.high)} ${f.currency}` },
        el("div", { style: `position:absolute;top:.2em;bottom:.2em;left:${at(b.low)};right:calc(100% - ${at(b.high)});min-width:2px;background:var(--c5);opacity:.75` }),
        el("div", { style: `position:absolute;top:0;bottom:0;left:${at(t.expected.total)};border-left:1.5px solid var(--ink)` }),
        el("span", { class: "interval", style: "position:absolute;right:.3rem;top:.15em;color:var(--ink)" }, `${digits(b.low)} – ${digits(b.high)}`)));
    sensitivity.append(el("h3", {}, `What moves it: ${shorten(f.rows[chosen].name)}`), el("p", { class: "sub" }, `Total in ${f.currency} per 1M tokens where one input alone goes from its low to its high; the line is the expected total.`), ...t.bars.map(line));
  };

  // Three numbers of an assumption; where one alone is known, it is all three.
  const editor = (input) => {
    const field = (bound) => {
      const node = el("input", { type: "number", step: "any", min: 0, value: input[bound], placeholder: "unknown", "aria-label": `${input.title}, ${bound}`, style: "width:6.5rem" });
      node.addEventListener("input", () => {
        const value = node.value.trim() === "" ? null : Number(node.value);
        if (value !== null && !Number.isFinite(value)) return;
        if (bound === "expected") for (const other of ["low", "high"]) if (value === null || input[other] === null || input[other] === input.expected) { input[other] = value; node.parentNode.querySelector(`[data-bound=${other}]`).value = value === null ? "" : value; }
        input[bound] = value;
        draw();
      });
      node.dataset.bound = bound;
      return node;
    };
    return el("label", { title: input.source }, `${input.title}${input.unit ? `, ${input.unit}` : ""}${input.needed ? "" : " (optional)"}`, el("span", { style: "display:flex;gap:.3rem" }, field("low"), field("expected"), field("high")), el("span", { class: "interval", style: "max-width:21rem" }, input.source));
  };

  if (f.rows.length > 1) f.rows.forEach((r, i) => {
    const b = el("button", { type: "button", title: r.engine }, shorten(r.name));
    b.addEventListener("click", () => { chosen = i; draw(); });
    choices.append(b);
  });
  const load = el("input", { type: "number", step: "any", min: 0, placeholder: "unknown", "aria-label": "load for the cost, million tokens a day" });
  load.addEventListener("input", () => { daily = load.value.trim() === "" ? null : Number(load.value); draw(); });
  box.append(out, choices, sensitivity, el("h3", {}, "Assumptions: low, expected, high"), el("div", { class: "inputs" }, ...shared.map(editor), el("label", { title: "yours" }, "load, million tokens a day", load)));
  box.append(behind("what was measured", table([{ key: "name", title: "served", text: true }, { key: "input", title: "input", text: true }, { key: "low", title: "low" }, { key: "expected", title: "expected" }, { key: "high", title: "high" }, { key: "source", title: "source", text: true }],
    f.rows.flatMap((r) => r.inputs.map((i) => ({ cells: { name: r.name, input: `${i.title}${i.unit ? `, ${i.unit}` : ""}`, ...Object.fromEntries(["low", "expected", "high"].map((k) => [k, { value: i[k], provenance: i.provenance, reason: i.source }])), source: i.source } }))), "What was measured")));
  draw();
}
