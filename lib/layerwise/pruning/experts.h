// Which experts of a mixture go: REAP (Lasby et al. 2025), the mean over an expert's tokens of its
// router weight times the size of what it adds.
#pragma once

#include <cstdint>
#include <vector>

#include "model/routing.h"

namespace frugal::layerwise {

// Sums of one layer over chunks of tokens.
class ExpertScores {
 public:
  void add(const model::Routing& routing);
  // By expert: mean of weight * |output|; 0 without tokens.
  std::vector<double> means() const;
  const std::vector<int64_t>& tokens() const { return tokens_; }

 private:
  std::vector<double> sums_;
  std::vector<int64_t> tokens_;
};

// The `keep` experts of the highest scores, ascending; of equal ones the first.
std::vector<int64_t> experts_to_keep(const std::vector<double>& scores, int64_t keep);

}  // namespace frugal::layerwise
