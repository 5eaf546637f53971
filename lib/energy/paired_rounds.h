// A candidate against a reference over rounds in each of which both were measured, in an order that
// was drawn by lot.
//
// The lot is what the statistics rest on. Were both the same, then the difference of a round would
// have come out with its sign turned had the lot fallen the other way, whatever the machine did
// meanwhile: so under all ways in which the lots could have fallen the chance of a mean difference
// as large as the one seen is known exactly, for any drift, autocorrelation and heavy tails (R. A.
// Fisher, The Design of Experiments, 1935, section 21). An interval holds the effects that this
// test does not refuse.
// A block bootstrap of the rounds stands beside it. It needs many rounds: of ten, it finds a
// difference between a model and itself in 7 to 11 of 100 tests
// (tests/energy/paired_rounds_test.cpp), so it decides nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "energy/range.h"

namespace frugal::energy {

struct PairedRounds {
  int64_t rounds = 0;
  double ratio = 1;               // candidate by reference: the geometric mean over the rounds
  std::optional<Range> interval;  // of the ratio; absent: so few rounds refuse nothing
  double p_value = 1;             // two-sided, of "both cost the same"
  double confidence = 0.95;       // of the interval

  bool differs() const { return interval && (interval->low > 1 || interval->high < 1); }
};

// `log_ratios`: ln(candidate / reference) of each round, finite. `comparisons`: how many of the
// kind are looked at together; each interval then has the confidence 1 - 0.05 / comparisons
// (Bonferroni), so that all of them hold at once with 95%. All signs are tried up to 16 rounds, of
// more a fixed draw of 20,000.
PairedRounds compare_rounds(std::span<const double> log_ratios, int64_t comparisons = 1);

// Interval of the mean of values in the order in which they were measured: a studentized bootstrap
// of circular blocks as long as the cube root of their number, so that values that resemble their
// neighbors are drawn with them (P. Hall, The Bootstrap and Edgeworth Expansion, 1992; D. N.
// Politis and J. P. Romano, 1992). Absent below four values.
std::optional<Range> block_bootstrap(std::span<const double> values, double confidence);
// The same of log ratios, as an interval of the ratio.
std::optional<Range> bootstrap_rounds(std::span<const double> log_ratios, double confidence);

// Rounds without which no difference can be shown.
int64_t rounds_needed(int64_t comparisons = 1);

// Which rounds stand apart: those whose level lies further than `deviations` scaled median absolute
// deviations (1.4826 MAD, a standard deviation of normal noise) from the median. None where
// deviations is 0, or where most levels are the same. A level must not depend on which of the two
// is called candidate, or the test above loses its ground.
std::vector<bool> outlying_rounds(std::span<const double> levels, double deviations);

// What a ratio is of: less is better, but for a speed.
enum class CostKind { kEnergy, kTime, kSpeed };
// "saves 23% [20, 26]", "costs 12% more [8, 16]", "no significant saving: between 3.1% more
// and 5.4% less", "too few rounds to tell: 4 of at least 6"; of times and speeds likewise.
std::string verdict(CostKind kind, const PairedRounds& result, int64_t comparisons = 1);

}  // namespace frugal::energy
