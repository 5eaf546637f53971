// The verdict above everything.
const BADGES = { kept: "claim holds", lost: "claim refuted", not_shown: "claim not shown", no_claim: "no claim declared", failed: "run failed" };

function head() {
  document.getElementById("head").append(
    el("h1", {}, R.name),
    el("p", { class: "verdict" }, R.verdict.sentence),
    el("p", {}, el("span", { class: `badge ${R.verdict.status}` }, BADGES[R.verdict.status] || R.verdict.status)),
    el("p", { class: "sub" }, R.verdict.detail || ""),
    R.description ? el("p", { class: "sub" }, R.description) : "",
    marks());
}
