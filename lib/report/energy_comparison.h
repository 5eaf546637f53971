// Models that took turns with a reference while they were metered: who saves energy, who costs
// more, and of whom neither can be said. Internal to the room.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "report/report.h"

namespace frugal::report {

// {finding, description, comparisons, groups [{metric, title, kind, batch, rows [row]}]}: the rows
// of all tables named `energy_comparison`, computed again from their log ratios. Of one metric all
// candidates and batch sizes of the run are looked at together, so each interval is widened after
// Bonferroni until all of them hold at once with 95%: whichever of the models is picked for its
// number, the interval beside it still means what it says. A comparison of a model with itself is
// in no family: it shows how far measuring alone goes. row: {model, reference, label,
// reference_label, batch, ratio, low, high, confidence, p_value (times the comparisons, at most 1),
// bootstrap, value, reference_value, unit, n, rounds_left_out, verdict, outcome ("less", "same",
// "more", "too_few", "unknown"), itself (bool), provenance, marks, reason, source}. Null where
// nothing was compared so.
base::Json energy_comparison_figure(const JournalView& journal);

// The verdicts of the first group for a terminal, one a line: "q4_k saves 23% [20, 26] of joules
// for a request against base". Empty without a figure.
std::vector<std::string> energy_comparison_lines(const base::Json& figure);

}  // namespace frugal::report
