// What rounding each matrix to each of several grids would cost, before any is chosen.
//
// The expected rise of KL(original || quantized), nats per token, to second order and with all
// other matrices as they are:
//   cost = 1/2 sum_r F_r ΔW_r H ΔW_rᵀ,   ΔW = nearest(W) - W,
// H = E[x xᵀ] of the original activations, F_r = E[g_r²] of the log-likelihood's gradient by output
// r (output_gradients.h derives it); of an expert H over the tokens that come to it, F_r over all
// tokens of the text, so that the cost is per token of the text, too. Rounding to nearest is what
// is measured: GPTQ comes out lower on every grid by a similar factor, which leaves the choice
// between grids as it is.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "layerwise/walk/passive_solver.h"

namespace frugal::layerwise {

struct SensitivityOptions {
  // Grids to try, by weight name; matrices that are absent are left alone.
  std::map<std::string, std::vector<std::string>, std::less<>> candidates;
  std::map<std::string, at::Tensor, std::less<>> gradients;  // F [rows] fp64 of each of them
  std::vector<std::vector<architecture::Stage>> stages;      // by layer
  bool importance = true;  // scales are searched weighted by E[x²]
};

// Changes nothing on its way: the walk stays on the original model.
class SensitivitySolver final : public PassiveSolver {
 public:
  explicit SensitivitySolver(SensitivityOptions options) : options_(std::move(options)) {}

  Needs needs(const architecture::StageRef& at) const override;
  absl::StatusOr<at::Tensor> solve(const StageProblem& problem) override;

  // By weight name: a cost per candidate, in their order.
  const std::map<std::string, std::vector<double>, std::less<>>& costs() const { return costs_; }
  // E[x²] [in] fp64 of the inputs of all matrices that share one with such a matrix; empty where
  // importance is off.
  const std::map<std::string, at::Tensor, std::less<>>& importance() const { return importance_; }

 private:
  absl::StatusOr<std::vector<double>> matrix_costs(const std::string& name,
                                                   const at::Tensor& weights,
                                                   const InputStatistics& statistics) const;

  SensitivityOptions options_;
  std::map<std::string, std::vector<double>, std::less<>> costs_;
  std::map<std::string, at::Tensor, std::less<>> importance_;
};

}  // namespace frugal::layerwise
