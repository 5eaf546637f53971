// The numbers of two models beside each other: the second half of `frugal inspect A B`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/checkpoint.h"

namespace frugal::artifact {

struct TensorDifference {
  std::string name;            // "model.layers.0.mlp.up_proj.weight"
  std::string type_a, type_b;  // the grid, or the type of plain numbers: "q4_0", "BF16"
  std::vector<int64_t> shape_a, shape_b;
  int64_t bytes_a = 0, bytes_b = 0;
  // ||A - B|| / ||A|| of the decoded numbers, Frobenius; infinite where A is 0 and B is not, NaN
  // where the shapes differ.
  double relative = 0;
};

struct Comparison {
  std::vector<TensorDifference> tensors;    // in both, sorted by name
  std::vector<std::string> only_a, only_b;  // sorted
  int64_t equal() const;                    // of `tensors`: those without a difference
};

// Decodes every tensor of both, one after the other; `advanced` (may be empty) hears of each of
// A's. Errors: those of reading a tensor.
absl::StatusOr<Comparison> compare(const format::Checkpoint& a, const format::Checkpoint& b,
                                   const std::function<void()>& advanced);

}  // namespace frugal::artifact
