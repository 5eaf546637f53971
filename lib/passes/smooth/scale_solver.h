// Chooses the channel scales of every stage while the walk goes by over the original weights; keeps
// them in a layer store.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "layerwise/transform/equalize.h"
#include "layerwise/walk/layer_store.h"
#include "layerwise/walk/walk.h"
#include "passes/common/layer_gate.h"
#include "passes/smooth/groups.h"

namespace frugal::passes {

struct ScaleSolverOptions {
  std::vector<ScaleGroup> groups;  // by stage
  int64_t layer_count = 0;
  bool smoothquant = false;  // else AWQ
  std::string grid;          // AWQ: the grid that the scales are to be good for
  bool duo = false;
  bool clip = false;
  double alpha = 0.5;
  LayerGate gate;
};

class ScaleSolver final : public layerwise::StageSolver {
 public:
  // `store` outlives the solver.
  ScaleSolver(ScaleSolverOptions options, const layerwise::LayerStore& store)
      : options_(std::move(options)), store_(store) {}

  layerwise::Needs needs(int64_t layer, size_t stage) const override;
  layerwise::DriftForm drift_form() const override { return layerwise::DriftForm::kNone; }
  // Always unchanged: statistics are those of the original model (AWQ's convention).
  absl::StatusOr<at::Tensor> solve(const layerwise::StageProblem& problem) override;
  absl::Status finish_layer(int64_t layer) override;
  absl::StatusOr<bool> is_finished(int64_t layer) override;
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
                                 base::Json& record);
  absl::Status clip(const layerwise::StageProblem& problem, const at::Tensor& scale,
                    base::Json& record);

  ScaleSolverOptions options_;
  const layerwise::LayerStore& store_;
  std::map<std::string, at::Tensor> finished_;  // fp32 tensors of the layer in work
  base::Json records_ = base::Json::array();
};

}  // namespace frugal::passes
