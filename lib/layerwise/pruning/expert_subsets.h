// Which experts to keep, by trying every set of them (Lu et al. 2024, "Not All Experts are Equal"):
// the one whose layer output is nearest to the whole layer's.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "architecture/model_config.h"

namespace frugal::layerwise {

// Beyond so many sets the search is refused: it costs 2 E² operations per set and token.
inline constexpr int64_t kMostSubsets = 20'000;

// How many ways there are to keep `keep` of `count`; at most 2^62, for "more than that", too.
int64_t subset_count(int64_t count, int64_t keep);

// All sets of `keep` of `count`, ascending, in lexicographic order.
std::vector<std::vector<int64_t>> subsets(int64_t count, int64_t keep);

// Squared errors of one layer's output under every set, over tokens that come chunk by chunk. A
// layer that keeps a set sends each token to those of it that the router gives the most weight,
// by the router's softmax over the set alone.
class SubsetErrors {
 public:
  SubsetErrors(const architecture::Experts& experts, int64_t keep);

  // `probabilities` [N, E], the router's softmax over all experts; `outputs` [E, N, C] of every
  // expert for every token. CPU.
  void add(const at::Tensor& probabilities, const at::Tensor& outputs);

  const std::vector<std::vector<int64_t>>& sets() const { return sets_; }
  // By set: Σ |y − y_set|² / Σ |y|² so far; 0 where the layer gives nothing at all.
  std::vector<double> relative() const;
  // The set with the least error; of equal ones the first.
  const std::vector<int64_t>& best() const;

 private:
  // [N, E] fp64: each token's weight for each expert when `kept` are there.
  at::Tensor token_weights(const at::Tensor& probabilities, const std::vector<int64_t>& kept) const;

  architecture::Experts experts_;
  std::vector<std::vector<int64_t>> sets_;
  std::vector<double> errors_;
  double reference_ = 0;
};

}  // namespace frugal::layerwise
