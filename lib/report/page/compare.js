// Several runs in one table: the page of `frugal compare`.
document.body.prepend(hatch());
document.getElementById("head").append(el("h1", {}, R.name), el("p", { class: "verdict" }, R.finding), el("p", { class: "sub" }, R.description), marks());

const titleOf = Object.fromEntries(R.columns.map((c) => [c.key, c.title]));
const several = R.runs.length > 1;
section({ finding: "Models, what they cost and what they are worth", description: "Columns marked (!) are not ranked: what they hold was obtained in different ways." }, "").append(
  table([...(several ? [{ key: "run", title: "run", text: true }] : []), { key: "model", title: "model", text: true }, { key: "engine", title: "served by", text: true }, { key: "best_use", title: "best use", text: true },
    ...R.columns.map((c) => ({ key: c.key, title: c.comparable ? c.title : `${c.title} (!)`, unit: c.unit, help: c.comparable ? `${c.better} is better${c.not_ranked ? `; ${c.not_ranked} is not ranked` : ""}` : `not ranked. ${c.note}` })), { key: "best", title: "best in, within chance", text: true }, ...(R.rows.some((r) => r.claim) ? [{ key: "claim", title: "its claim", text: true }] : [])],
  R.rows.map((r) => ({ class: r.role === "baseline" ? "baseline" : null, cells: { ...r.cells, run: r.run, model: el("span", { title: r.model }, shorten(r.model)), engine: r.engine || "–", best_use: r.best_use || "–",
    best: r.best.map((k) => titleOf[k]).join(", ") || "–", claim: r.claim || "not tested" } })), "Models of all runs"));

const rules = section({ finding: "Best use, by these rules", description: "Each is asked over all rows above; where intervals overlap, chance does not tell the rows apart." }, "");
rules.append(table([{ key: "rule", title: "rule", text: true }, { key: "answer", title: "answer", text: true }], R.rules.map((r) => ({ cells: r })), "Rules"));

const apart = R.columns.filter((c) => !c.comparable);
if (apart.length) section({ finding: "What may not be compared, and why", description: "Measure on one machine, by the same meters, in the same runtime, on the same items, and these become one ranking." }, "").append(
  el("ul", { class: "note" }, ...apart.map((c) => el("li", {}, `${c.title}: ${c.note}`))));

section({ finding: "The runs", description: "Each number's own source stands in its run's report." }, "").append(
  table([{ key: "name", title: "run", text: true }, { key: "started", title: "started", text: true }, { key: "status", title: "status", text: true }, { key: "machine", title: "machine", text: true }, { key: "meters", title: "meters", text: true },
    { key: "site", title: "site", text: true }, { key: "claim", title: "claim", text: true }, { key: "journal", title: "journal's SHA-256", text: true }],
  R.runs.map((r) => ({ cells: { ...r, site: r.site || "–", claim: r.claim || "none", journal: el("code", {}, r.journal_sha256) } })), "Runs"));
document.getElementById("foot").append("drawn by frugal compare from the journals of the runs above");
document.documentElement.dataset.drawn = "yes";
