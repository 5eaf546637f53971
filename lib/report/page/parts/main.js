// The page, in order. A figure that the run has nothing for is null in the report and absent here.
const draw = (figure, data) => { if (data) figure(data); };
head();
draw(overview, R.table);
draw(tradeoff, R.figures.tradeoff);
draw(energyComparison, R.figures.energy_comparison);
draw(architectures, R.figures.architectures);
draw(comparisons, R.figures.comparisons);
draw(steps, R.figures.steps);
draw(layers, R.figures.layer_error);
draw(training, R.figures.training);
draw(amortization, R.figures.amortization);
draw(derived, R.figures.derived);
provenance(R.provenance);
document.getElementById("foot").append(`frugal ${R.frugal} · ${R.started} · drawn from journal.jsonl (${R.journal_sha256.slice(0, 16)}…) · `,
  el("span", {}, "run again with "), el("code", {}, R.command || "frugal run"));
document.documentElement.dataset.drawn = "yes";
