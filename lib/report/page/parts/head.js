// The verdict above everything, and what it is about.
const BADGES = { kept: "claim holds", lost: "claim refuted", not_shown: "claim not shown", no_claim: "no claim declared", failed: "run failed" };

function head() {
  const about = R.verdict.about;
  document.getElementById("head").append(hatch(),
    el("p", { class: "run" }, R.name),
    el("h1", { class: "verdict" }, R.verdict.sentence),
    el("p", {}, el("span", { class: `badge ${R.verdict.status}` }, BADGES[R.verdict.status] || R.verdict.status)),
    R.verdict.detail ? el("p", { class: "sub" }, R.verdict.detail) : "",
    about ? el("dl", { class: "about" }, ...["artifact", "runtime", "machine"].map((key) => el("div", {}, el("dt", {}, key), el("dd", {}, about[key])))) : "",
    R.description ? el("p", { class: "sub" }, R.description) : "",
    marks());
}
