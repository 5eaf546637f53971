// A model against a reference that took turns with it: ratios over rounds, for the journal.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "pass/pass.h"
#include "passes/measure/speed.h"

namespace frugal::passes {

struct PairedOptions {
  std::string reference;          // its name
  double outlier_deviations = 5;  // energy::outlying_rounds; 0 keeps every round
};

// Rounds of a workload that are left out of all its ratios: one of its phases took the two models
// together much longer, or shorter, than in other rounds, which is the same whichever of the two is
// called the reference. Other work on the machine did that, not a model.
std::vector<bool> left_out(const Speed& model, const Speed& reference, double deviations);

// Rows of the table `energy_rounds`, one for each round and workload: {batch, round, first ("model"
// or "reference"), seconds, reference_seconds, left_out (bool), rule}; seconds of both phases'
// runs.
std::vector<base::Json> round_rows(const Measured& measured, const PairedOptions& options);

// Rows of the table `energy_comparison`, one for each workload and metric: {metric, batch,
// reference, kind ("energy", "time", "speed"), unit, value, reference_value (geometric means over
// the rounds that count), log_ratios, ratio, low, high, confidence, p_value, n, rounds_left_out,
// method, bootstrap {low, high} or null, verdict, provenance, marks, reason (where it is unknown)}.
// What a model of a meter may be off by is the same for both and falls out of a ratio.
std::vector<base::Json> comparison_rows(const Measured& measured, const PairedOptions& options);

// The headline: energy and speed of the first workload, for one line.
std::vector<pass::Statistic> comparison_statistics(const std::vector<base::Json>& rows);

// Rounds that were left out, and what a verdict needs that is not there.
std::vector<std::string> comparison_warnings(const std::vector<base::Json>& rows);

}  // namespace frugal::passes
