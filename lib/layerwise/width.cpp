#include "layerwise/width.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "layerwise/order.h"
#include "layerwise/tiles.h"

namespace frugal::layerwise {
namespace {

std::vector<int64_t> best(const at::Tensor& scores, int64_t keep) {
  const at::Tensor values = scores.to(at::kDouble).contiguous();
  const double* score = values.const_data_ptr<double>();
  std::vector<int64_t> order(static_cast<size_t>(values.numel()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return score[a] > score[b]; });
  order.resize(static_cast<size_t>(keep));
  std::sort(order.begin(), order.end());
  return order;
}

at::Tensor column_square_norms(const at::Tensor& weights) {
  return weights.to(at::kDouble).square().sum(0);
}

// Removes the cheapest neuron, spreads its contribution over those left and downdates the inverse,
// until `keep` are left.
std::vector<int64_t> greedy(const at::Tensor& target, const Factor& factor, int64_t keep) {
  const int64_t neurons = target.size(1);
  at::Tensor inverse = multiply_inverse(at::eye(neurons, at::kDouble), factor);
  at::Tensor weights = target.to(at::kDouble, /*non_blocking=*/false, /*copy=*/true);
  at::Tensor removed = at::zeros({neurons}, at::kBool);
  for (int64_t left = neurons; left > keep; --left) {
    const at::Tensor cost = column_square_norms(weights) / inverse.diagonal();
    cost.masked_fill_(removed, std::numeric_limits<double>::infinity());
    const int64_t j = cost.argmin().item<int64_t>();
    const at::Tensor row = inverse[j] / inverse[j][j];
    const at::Tensor column = inverse.select(1, j).clone();
    weights.addr_(weights.select(1, j).clone(), row, 1, -1);
    inverse.addr_(column, row, 1, -1);
    // What rounding left of the removed row and column must not leak into later steps.
    inverse.select(0, j).zero_();
    inverse.select(1, j).zero_();
    inverse[j][j] = 1;
    weights.select(1, j).zero_();
    removed[j] = true;
  }
  const at::Tensor kept = at::logical_not(removed).nonzero().flatten().contiguous();
  return {kept.const_data_ptr<int64_t>(), kept.const_data_ptr<int64_t>() + kept.numel()};
}

}  // namespace

int64_t kept_neurons(int64_t neurons, double fraction, int64_t multiple_of) {
  const double steps =
      std::round(fraction * static_cast<double>(neurons) / static_cast<double>(multiple_of));
  return std::min(neurons, std::max<int64_t>(1, static_cast<int64_t>(steps)) * multiple_of);
}

std::vector<int64_t> choose_neurons(const WidthProblem& problem, NeuronScore score, int64_t keep) {
  const int64_t neurons = problem.target.size(1);
  TORCH_CHECK(keep > 0 && keep <= neurons, "cannot keep ", keep, " of ", neurons, " neurons");
  switch (score) {
    case NeuronScore::kActivation:
      TORCH_CHECK(problem.mean_absolute.numel() == neurons, "mean |x| of ", neurons,
                  " neurons expected");
      return best(problem.mean_absolute, keep);
    case NeuronScore::kMagnitude:
      TORCH_CHECK(problem.magnitude.numel() == neurons, "magnitudes of ", neurons,
                  " neurons expected");
      return best(problem.magnitude, keep);
    case NeuronScore::kObs:
    case NeuronScore::kObsGreedy:
      break;
  }
  TORCH_CHECK(problem.factor != nullptr && problem.factor->upper.size(0) == neurons, "H of ",
              neurons, " neurons expected");
  if (score == NeuronScore::kObsGreedy) return greedy(problem.target, *problem.factor, keep);
  return best(column_square_norms(problem.target) / inverse_diagonal(*problem.factor), keep);
}

absl::StatusOr<at::Tensor> compensate(const at::Tensor& target, const Factor& factor,
                                      const std::vector<int64_t>& kept) {
  const at::Tensor set = at::tensor(kept, at::kLong);
  const at::Tensor columns = factor.damped.index_select(1, set);  // [F, S]
  const at::Tensor subset = columns.index_select(0, set).contiguous();
  const auto natural = at::arange(static_cast<int64_t>(kept.size()), at::kLong);
  FRUGAL_ASSIGN_OR_RETURN(const Factor inner,
                          factorize(subset, natural, {.damping = 0}));  // damped already
  const at::Tensor moment = matrix_product(target.to(at::kDouble), columns);
  return multiply_inverse(moment, inner).to(at::kFloat);
}

}  // namespace frugal::layerwise
