// Tested by: tests/passes/target_test.cpp
#include "layerwise/rounding/sensitivity.h"

#include <utility>

#include "layerwise/rounding/gptq.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {

Needs SensitivitySolver::needs(const architecture::StageRef& at) const {
  if (at.layer == static_cast<int64_t>(options_.stages.size())) return Needs::kNothing;
  for (const architecture::Tensor& matrix :
       options_.stages[static_cast<size_t>(at.layer)][at.stage].matrices) {
    if (options_.candidates.contains(matrix.name)) return Needs::kHessian;
  }
  return Needs::kNothing;
}

absl::StatusOr<std::vector<double>> SensitivitySolver::matrix_costs(
    const std::string& name, const at::Tensor& weights, const InputStatistics& statistics) const {
  const auto gradients = options_.gradients.find(name);
  if (gradients == options_.gradients.end() || gradients->second.size(0) != weights.size(0)) {
    return base::internal(name, ": no gradient for each of its ", weights.size(0), " outputs");
  }
  const at::Tensor importance = options_.importance ? statistics.mean_square : at::Tensor();
  std::vector<double> costs;
  for (const std::string& candidate : options_.candidates.find(name)->second) {
    FRUGAL_ASSIGN_OR_RETURN(auto grid, grid::find_grid(candidate, weights.size(1)));
    FRUGAL_ASSIGN_OR_RETURN(const grid::QuantizedMatrix rounded,
                            round_to_nearest(weights, importance, std::move(grid), true));
    const at::Tensor change = decode(rounded).to(at::kDouble).sub_(weights);
    const at::Tensor rows = tensor::row_products(change, statistics.hessian, change);
    costs.push_back(0.5 * rows.mul(gradients->second).sum().item<double>());
  }
  return costs;
}

absl::StatusOr<at::Tensor> SensitivitySolver::solve(const StageProblem& problem) {
  const std::vector<at::Tensor> matrices = problem.weights.split_with_sizes(problem.row_counts, 0);
  for (size_t i = 0; i < matrices.size(); ++i) {
    const std::string& name = problem.names[i];
    if (options_.importance) importance_[name] = problem.statistics.mean_square;
    if (!options_.candidates.contains(name)) continue;
    FRUGAL_ASSIGN_OR_RETURN(costs_[name],
                            matrix_costs(name, matrices[i].contiguous(), problem.statistics));
  }
  return at::Tensor();
}

}  // namespace frugal::layerwise
