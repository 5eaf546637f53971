// The making of a model against what it saves; days by the load that the reader enters.
function amortization(f) {
  const box = section(f, "When compressing has paid for itself");
  const out = el("div", {});
  let daily = null;  // million tokens a day
  const days = (tokens) => !known(tokens) ? tokens : daily > 0 ? { ...tokens, value: tokens.value / daily, help: "at the load above" } : { value: null, reason: "enter a load above" };
  const fill = () => out.replaceChildren(table([{ key: "model", title: "model", text: true }, { key: "one_off", title: "making it, J" }, { key: "saved", title: "saved, J per 1M tokens" }, { key: "tokens", title: "paid back after, M tokens" }, { key: "days", title: "days" }],
    f.rows.map((r) => ({ cells: { ...r, model: name(r.model), days: days(r.tokens) } })), "Making a model against what it saves"));
  const input = el("input", { type: "number", step: "any", min: 0, placeholder: "unknown", "aria-label": "load, million tokens a day" });
  input.addEventListener("input", () => { daily = input.value.trim() === "" ? null : Number(input.value); fill(); });
  box.append(el("div", { class: "inputs" }, el("label", { title: "yours" }, "load, million tokens a day", input)), out);
  fill();
}
