// A grid for every matrix within a budget of bytes: the multiple-choice knapsack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/status.h"

namespace frugal::passes {

// What one matrix may be put on: bytes and cost of each candidate, in ascending bytes; at most 256.
struct AllocationItem {
  std::vector<int64_t> bytes;
  std::vector<double> costs;  // finite, any sign
};

struct Allocation {
  std::vector<size_t> choice;  // a candidate of each item
  int64_t bytes = 0;
  double cost = 0;
};

// The sums over a choice.
Allocation total(const std::vector<AllocationItem>& items, std::vector<size_t> choice);

// The choice of least cost among those of at most `budget` bytes, by dynamic programming over bytes
// in units of their greatest common divisor, which for real shapes is large (128 rows of 256
// columns on K types: 256 bytes). Where that makes more than `max_units` (of the largest choice),
// units are coarser and bytes round up: the result is then no worse than the best for a budget
// smaller by a unit per item. Either way it is never over budget, and a larger budget never gives a
// larger cost. Time twice items * candidates * units, memory 6 * sqrt(items) * units bytes. Errors:
// items that are not as described, a budget below the smallest choice.
absl::StatusOr<Allocation> allocate(const std::vector<AllocationItem>& items, int64_t budget,
                                    int64_t max_units = int64_t{1} << 17);

}  // namespace frugal::passes
