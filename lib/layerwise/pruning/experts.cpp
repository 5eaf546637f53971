#include "layerwise/pruning/experts.h"

#include <algorithm>
#include <numeric>

#include "tensor/aten.h"

namespace frugal::layerwise {

void ExpertScores::add(const model::Routing& routing) {
  sums_.resize(routing.ends.size(), 0.0);
  tokens_.resize(routing.ends.size(), 0);
  const at::Tensor weights = routing.grouped_weights();
  for (size_t e = 0; e < routing.ends.size(); ++e) {
    const int64_t count = routing.tokens_of(static_cast<int64_t>(e));
    if (count == 0) continue;
    const at::Tensor sizes = routing.outputs.at(e).to(at::kDouble).square().sum(-1).sqrt();
    const at::Tensor own = weights.narrow(0, routing.ends[e] - count, count).to(at::kDouble);
    sums_[e] += (own * sizes).sum().item<double>();
    tokens_[e] += count;
  }
}

std::vector<double> ExpertScores::means() const {
  std::vector<double> result;
  for (size_t e = 0; e < sums_.size(); ++e)
    result.push_back(tokens_[e] > 0 ? sums_[e] / static_cast<double>(tokens_[e]) : 0.0);
  return result;
}

std::vector<int64_t> experts_to_keep(const std::vector<double>& scores, int64_t keep) {
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)];
  });
  order.resize(static_cast<size_t>(std::min<int64_t>(keep, static_cast<int64_t>(order.size()))));
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace frugal::layerwise
