#include "layerwise/pruning/expert_subsets.h"

#include <algorithm>
#include <numeric>

#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {

int64_t subset_count(int64_t count, int64_t keep) {
  constexpr int64_t kMany = int64_t{1} << 62;
  keep = std::min(keep, count - keep);
  int64_t result = keep < 0 ? 0 : 1;
  for (int64_t i = 1; i <= keep; ++i) {
    const int64_t factor = count - keep + i;
    if (result > kMany / factor) return kMany;
    result = result * factor / i;
  }
  return result;
}

std::vector<std::vector<int64_t>> subsets(int64_t count, int64_t keep) {
  std::vector<std::vector<int64_t>> result;
  std::vector<int64_t> set(static_cast<size_t>(keep));
  std::iota(set.begin(), set.end(), 0);
  for (;;) {
    result.push_back(set);
    int64_t at = keep - 1;  // the last element that can still grow
    while (at >= 0 && set[static_cast<size_t>(at)] == count - keep + at) --at;
    if (at < 0) return result;
    std::iota(set.begin() + at, set.end(), set[static_cast<size_t>(at)] + 1);
  }
}

SubsetErrors::SubsetErrors(const architecture::Experts& experts, int64_t keep)
    : experts_(experts), sets_(subsets(experts.count, keep)), errors_(sets_.size(), 0.0) {}

at::Tensor SubsetErrors::token_weights(const at::Tensor& probabilities,
                                       const std::vector<int64_t>& kept) const {
  const at::Tensor among = at::tensor(kept, at::kLong);
  at::Tensor own = probabilities.index_select(1, among);
  own = own / own.sum(-1, /*keepdim=*/true);
  const int64_t through = std::min(experts_.per_token, own.size(1));
  auto [weights, chosen] = own.topk(through, -1);
  if (experts_.normalized) weights = weights / weights.sum(-1, /*keepdim=*/true);
  return at::zeros({probabilities.size(0), experts_.count}, at::kDouble)
      .scatter_(1, among.index_select(0, chosen.reshape({-1})).view(chosen.sizes()),
                weights.to(at::kDouble));
}

void SubsetErrors::add(const at::Tensor& probabilities, const at::Tensor& outputs) {
  std::vector<int64_t> all(static_cast<size_t>(experts_.count));
  std::iota(all.begin(), all.end(), 0);
  const int64_t tokens = probabilities.size(0);
  const at::Tensor products =
      at::empty({tokens, experts_.count, experts_.count}, at::kDouble);  // o_e · o_f
  constexpr int64_t kTokens = 256;
  tensor::for_each_tile((tokens + kTokens - 1) / kTokens, [&](int64_t tile) {
    const int64_t begin = tile * kTokens, count = std::min(kTokens, tokens - begin);
    const at::Tensor own = outputs.narrow(1, begin, count).transpose(0, 1).to(at::kDouble);
    products.narrow(0, begin, count).copy_(own.bmm(own.transpose(1, 2)));
  });
  const at::Tensor whole = token_weights(probabilities, all);
  const auto squared = [&](const at::Tensor& weights) {
    return weights.unsqueeze(1).bmm(products).squeeze(1).mul_(weights).sum().item<double>();
  };
  tensor::for_each_tile(1, [&](int64_t) { reference_ += squared(whole); });
  tensor::for_each_tile(static_cast<int64_t>(sets_.size()), [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    errors_[at] += squared(token_weights(probabilities, sets_[at]) - whole);
  });
}

std::vector<double> SubsetErrors::relative() const {
  std::vector<double> result;
  for (const double error : errors_) result.push_back(reference_ > 0 ? error / reference_ : 0.0);
  return result;
}

const std::vector<int64_t>& SubsetErrors::best() const {
  return sets_[static_cast<size_t>(std::min_element(errors_.begin(), errors_.end()) -
                                   errors_.begin())];
}

}  // namespace frugal::layerwise
