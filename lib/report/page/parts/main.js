// The page, in order. A figure that the run has nothing for is null in the report and absent here.
const draw = (figure, data) => { if (data) figure(data); };
head();
draw(tradeoff, R.figures.tradeoff);
draw(served, R.figures.served);
draw(overview, R.table);
draw(energyComparison, R.figures.energy_comparison);
draw(comparisons, R.figures.comparisons);
draw(layers, R.figures.layer_error);
draw(energySplit, R.figures.energy_split);
draw(amortization, R.figures.amortization);
draw(steps, R.figures.steps);
draw(architectures, R.figures.architectures);
draw(training, R.figures.training);
draw(energyBoundary, R.figures.energy_boundary);
draw(derived, R.figures.derived);
draw(tco, R.figures.tco);
provenance(R.provenance);
document.getElementById("foot").append(`frugal ${R.frugal} · ${R.started} · drawn from journal.jsonl (${R.journal_sha256.slice(0, 16)}…) · `,
  el("span", {}, "run again with "), el("code", {}, R.command || "frugal run"));
document.querySelectorAll(".scroll").forEach((box) => box.fit());
// On paper everything is open, and fits the sheet: nobody asks again for room once printing has begun.
const closed = [];
const onPaper = (is) => {
  document.body.classList.toggle("paper", is);
  document.querySelectorAll(".scroll, figure").forEach((box) => box.fit && box.fit());
};
addEventListener("beforeprint", () => {
  document.querySelectorAll("details:not([open])").forEach((d) => { d.open = true; closed.push(d); });
  onPaper(true);
});
addEventListener("afterprint", () => {
  closed.splice(0).forEach((d) => { d.open = false; });
  onPaper(false);
});
document.documentElement.dataset.drawn = "yes";
