// Narrows the feed-forward part of every layer while the walk goes by; keeps what it did in a layer
// store.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "format/dtype.h"
#include "layerwise/layer_store.h"
#include "layerwise/pre_correct.h"
#include "layerwise/walk.h"
#include "layerwise/width.h"

namespace frugal::passes {

struct WidthSolverOptions {
  size_t in_stage = 0;   // gate and up: their rows are the neurons
  size_t out_stage = 0;  // down: its columns are the neurons
  int64_t keep = 0;      // neurons
  layerwise::NeuronScore score = layerwise::NeuronScore::kObs;
  bool compensate = true;
  layerwise::Asymmetry asymmetry;
  layerwise::FactorOptions factor;
  at::ScalarType stored_type =
      at::kFloat;  // of the output's weights: the walk goes on with what will be stored

  bool needs_hessian() const {
    return compensate || score == layerwise::NeuronScore::kObs ||
           score == layerwise::NeuronScore::kObsGreedy;
  }
};

class WidthSolver final : public layerwise::StageSolver {
 public:
  // `store` outlives the solver.
  WidthSolver(WidthSolverOptions options, const layerwise::LayerStore& store)
      : options_(options), store_(store) {}

  layerwise::Needs needs(int64_t layer, size_t stage) const override;
  bool wants_drift() const override {
    return options_.needs_hessian() && options_.asymmetry.active();
  }
  absl::StatusOr<at::Tensor> solve(const layerwise::StageProblem& problem) override;
  absl::Status finish_layer(int64_t layer) override;
  absl::StatusOr<bool> is_finished(int64_t layer) override;
  absl::StatusOr<at::Tensor> restore(const layerwise::StageProblem& problem) override;

  // The kept neurons of a stored layer, and its narrowed down matrix, fp32 [rows, keep].
  static absl::StatusOr<std::vector<int64_t>> stored_neurons(
      const layerwise::LayerStore::Layer& layer, int64_t keep);
  static absl::StatusOr<std::vector<float>> stored_weights(
      const layerwise::LayerStore::Layer& layer, int64_t rows, int64_t keep);

 private:
  void remember_magnitude(const layerwise::StageProblem& problem);
  absl::StatusOr<at::Tensor> narrow(const layerwise::StageProblem& problem);
  void record(const layerwise::StageProblem& problem, const at::Tensor& target,
              const at::Tensor& before, const at::Tensor& after, const layerwise::Factor& factor,
              double seconds);

  WidthSolverOptions options_;
  const layerwise::LayerStore& store_;
  at::Tensor magnitude_;  // [F] of the layer in work, without down
  std::vector<int64_t> kept_;
  at::Tensor narrowed_;  // [C, keep] fp32
  base::Json records_ = base::Json::array();
  std::optional<layerwise::LayerStore::Layer> restored_;
};

}  // namespace frugal::passes
