// Improving an allocation by measurement: predictions add up only roughly, above all below 3 bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/status.h"
#include "passes/quantize/allocation.h"

namespace frugal::passes {

struct SwapOptions {
  int64_t tries = 24;
  double relative_error = 0.3;  // of a predicted cost (standard deviation), to rank swaps by
};

struct SwapResult {
  Allocation allocation;
  double before = 0;  // what `measure` said of the first and of the last
  double after = 0;   // <= before
  int64_t tried = 0, kept = 0;
};

// What is measured of a choice (lower is better).
using Measure = std::function<absl::StatusOr<double>(const std::vector<size_t>& choice)>;

// A swap puts one matrix on its next larger candidate and, where that is over budget, others on
// smaller ones, those that lose least per byte first; what is left over goes to other matrices.
// Swaps are tried in the order of the gain that is to be expected where each predicted cost is off
// by `relative_error` (a large trade that is nearly even by prediction comes before a small one),
// and kept where the measurement falls. Never over budget; no choice is measured twice; the same
// input gives the same result, on any number of threads. Listing the swaps of one allocation takes
// time in proportion to the square of the number of matrices (under a second of one core for 1000),
// on all threads, once for the first and once for every swap that is kept. Errors: those of
// `measure`.
absl::StatusOr<SwapResult> improve(const std::vector<AllocationItem>& items, Allocation start,
                                   int64_t budget, const SwapOptions& options,
                                   const Measure& measure);

}  // namespace frugal::passes
