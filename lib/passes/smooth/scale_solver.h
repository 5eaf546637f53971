// Chooses the channel scales of every stage while the walk goes by over the original weights.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "layerwise/transform/equalize.h"
#include "layerwise/walk/durable_solver.h"
#include "passes/common/layer_gate.h"
#include "passes/smooth/groups.h"

namespace frugal::passes {

struct ScaleSolverOptions {
  std::vector<ScaleGroup> groups;  // by stage
  architecture::ModelConfig config;
  bool smoothquant = false;  // else AWQ
  std::string grid;          // AWQ: the grid that the scales are to be good for
  bool duo = false;
  bool clip = false;
  double alpha = 0.5;
  LayerGate gate;
};

class ScaleSolver final : public layerwise::DurableSolver {
 public:
  // `store` outlives the solver.
  ScaleSolver(ScaleSolverOptions options, const layerwise::LayerStore& store)
      : DurableSolver(store), options_(std::move(options)) {}

  layerwise::Needs needs(const architecture::StageRef& at) const override;
  layerwise::DriftForm drift_form() const override { return layerwise::DriftForm::kNone; }
  // Always unchanged: statistics are those of the original model (AWQ's convention).
  absl::StatusOr<at::Tensor> solve(const layerwise::StageProblem& problem) override;
  absl::StatusOr<at::Tensor> restore(const layerwise::StageProblem&) override {
    return at::Tensor();
  }

  // The stored scale of a stage [in] fp32, and the bounds of a matrix [rows, groups]; undefined
  // where it was not clipped.
  static absl::StatusOr<at::Tensor> stored_scale(const layerwise::LayerStore::Layer& layer,
                                                 const ScaleGroup& group);
  static absl::StatusOr<at::Tensor> stored_bounds(const layerwise::LayerStore::Layer& layer,
                                                  const std::string& matrix);

 private:
  absl::StatusOr<at::Tensor> awq(const layerwise::StageProblem& problem, const ScaleGroup& group,
                                 layerwise::MatrixRecord& record);
  absl::Status clip(const layerwise::StageProblem& problem, const at::Tensor& scale,
                    layerwise::MatrixRecord& record);

  ScaleSolverOptions options_;
};

}  // namespace frugal::passes
