#include "layerwise/pruning/width.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "layerwise/rounding/order.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

// The `keep` highest of each of `groups` runs, ascending.
std::vector<int64_t> best(const at::Tensor& scores, int64_t keep, int64_t groups) {
  const at::Tensor values = scores.to(at::kDouble).contiguous();
  const double* score = values.const_data_ptr<double>();
  const int64_t size = values.numel() / groups;
  std::vector<int64_t> result;
  for (int64_t group = 0; group < groups; ++group) {
    std::vector<int64_t> order(static_cast<size_t>(size));
    std::iota(order.begin(), order.end(), group * size);
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return score[a] > score[b]; });
    std::sort(order.begin(), order.begin() + keep / groups);
    result.insert(result.end(), order.begin(), order.begin() + keep / groups);
  }
  return result;
}

at::Tensor column_square_norms(const at::Tensor& weights) {
  return weights.to(at::kDouble).square().sum(0);
}

// ((H + λI)⁻¹)_JJ of structure j.
at::Tensor diagonal_block(const at::Tensor& inverse, int64_t j, int64_t unit) {
  return inverse.narrow(0, j * unit, unit).narrow(1, j * unit, unit);
}

// What removing each structure costs, [structures] fp64.
at::Tensor obs_costs(const at::Tensor& weights, const at::Tensor& inverse, int64_t unit) {
  if (unit == 1) return column_square_norms(weights) / inverse.diagonal();
  const int64_t count = weights.size(1) / unit;
  at::Tensor costs = at::empty({count}, at::kDouble);
  tensor::for_each_tile(count, [&](int64_t j) {
    const at::Tensor w = weights.narrow(1, j * unit, unit).to(at::kDouble);
    const at::Tensor solved = at::linalg_solve(diagonal_block(inverse, j, unit), w.t());
    costs[j] = (w * solved.t()).sum();
  });
  return costs;
}

at::Tensor inverse_of(const Factor& factor) {
  return multiply_inverse(at::eye(factor.upper.size(0), at::kDouble), factor);
}

// Removes the cheapest structure, spreads its contribution over those left and downdates the
// inverse, until `keep` are left.
class Greedy {
 public:
  explicit Greedy(const WidthProblem& problem)
      : unit_(problem.unit),
        count_(problem.target.size(1) / problem.unit),
        group_size_(count_ / problem.groups),
        inverse_(inverse_of(*problem.factor)),
        weights_(problem.target.to(at::kDouble, /*non_blocking=*/false, /*copy=*/true)),
        closed_(at::zeros({count_}, at::kBool)),
        removed_(at::zeros({count_}, at::kBool)),
        left_(static_cast<size_t>(problem.groups), group_size_) {}

  std::vector<int64_t> run(int64_t keep) {
    const int64_t quota = keep / static_cast<int64_t>(left_.size());
    for (int64_t left = count_; left > keep; --left) {
      const at::Tensor costs = obs_costs(weights_, inverse_, unit_);
      costs.masked_fill_(closed_, std::numeric_limits<double>::infinity());
      remove(costs.argmin().item<int64_t>(), quota);
    }
    const at::Tensor kept = at::logical_not(removed_).nonzero().flatten().contiguous();
    return {kept.const_data_ptr<int64_t>(), kept.const_data_ptr<int64_t>() + kept.numel()};
  }

 private:
  void remove(int64_t j, int64_t quota) {
    const int64_t begin = j * unit_;
    tensor::for_each_tile(1, [&](int64_t) {  // on one thread: the same bits at any number
      const at::Tensor rows =
          at::linalg_solve(diagonal_block(inverse_, j, unit_), inverse_.narrow(0, begin, unit_));
      weights_.addmm_(weights_.narrow(1, begin, unit_).clone(), rows, 1, -1);
      inverse_.addmm_(inverse_.narrow(1, begin, unit_).clone(), rows, 1, -1);
    });
    // What rounding left of the removed rows and columns must not leak into later steps.
    inverse_.narrow(0, begin, unit_).zero_();
    inverse_.narrow(1, begin, unit_).zero_();
    diagonal_block(inverse_, j, unit_).diagonal().fill_(1);
    weights_.narrow(1, begin, unit_).zero_();
    removed_[j] = true;
    closed_[j] = true;
    const int64_t group = j / group_size_;
    if (--left_[static_cast<size_t>(group)] == quota)
      closed_.narrow(0, group * group_size_, group_size_).fill_(true);
  }

  int64_t unit_, count_, group_size_;
  at::Tensor inverse_, weights_, closed_, removed_;
  std::vector<int64_t> left_;  // of each group
};

}  // namespace

int64_t kept_structures(int64_t count, double fraction, int64_t multiple_of) {
  const double steps =
      std::round(fraction * static_cast<double>(count) / static_cast<double>(multiple_of));
  return std::min(count, std::max<int64_t>(1, static_cast<int64_t>(steps)) * multiple_of);
}

std::vector<int64_t> choose_structures(const WidthProblem& problem, StructureScore score,
                                       int64_t keep) {
  const int64_t columns = problem.target.size(1), count = columns / problem.unit;
  TORCH_CHECK(columns % problem.unit == 0 && count % problem.groups == 0, columns, " columns in ",
              problem.groups, " groups of structures of ", problem.unit);
  TORCH_CHECK(keep > 0 && keep <= count && keep % problem.groups == 0, "cannot keep ", keep, " of ",
              count, " structures in ", problem.groups, " groups");
  switch (score) {
    case StructureScore::kActivation:
      TORCH_CHECK(problem.mean_absolute.numel() == columns, "mean |x| of ", columns,
                  " columns expected");
      return best(problem.mean_absolute.square().view({count, problem.unit}).sum(1), keep,
                  problem.groups);
    case StructureScore::kMagnitude:
      TORCH_CHECK(problem.magnitude.numel() == count, "magnitudes of ", count,
                  " structures expected");
      return best(problem.magnitude, keep, problem.groups);
    case StructureScore::kObs:
    case StructureScore::kObsGreedy:
      break;
  }
  TORCH_CHECK(problem.factor != nullptr && problem.factor->upper.size(0) == columns, "H of ",
              columns, " columns expected");
  if (score == StructureScore::kObsGreedy) return Greedy(problem).run(keep);
  if (problem.unit == 1) {  // the diagonal alone costs less than the inverse
    return best(column_square_norms(problem.target) / inverse_diagonal(*problem.factor), keep,
                problem.groups);
  }
  return best(obs_costs(problem.target, inverse_of(*problem.factor), problem.unit), keep,
              problem.groups);
}

std::vector<int64_t> elements_of(const std::vector<int64_t>& structures, int64_t size) {
  std::vector<int64_t> result;
  result.reserve(structures.size() * static_cast<size_t>(size));
  for (const int64_t s : structures) {
    for (int64_t i = 0; i < size; ++i) result.push_back(s * size + i);
  }
  return result;
}

absl::StatusOr<at::Tensor> compensate(const at::Tensor& target, const Factor& factor,
                                      const std::vector<int64_t>& kept) {
  const at::Tensor set = at::tensor(kept, at::kLong);
  const at::Tensor columns = factor.damped.index_select(1, set);  // [F, S]
  const at::Tensor subset = columns.index_select(0, set).contiguous();
  const auto natural = at::arange(static_cast<int64_t>(kept.size()), at::kLong);
  FRUGAL_ASSIGN_OR_RETURN(const Factor inner,
                          factorize(subset, natural, {.damping = 0}));  // damped already
  const at::Tensor moment = tensor::matrix_product(target.to(at::kDouble), columns);
  return multiply_inverse(moment, inner).to(at::kFloat);
}

}  // namespace frugal::layerwise
