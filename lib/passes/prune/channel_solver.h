// Goes through the layers with a residual stream that has lost channels: refits every matrix, later
// ones to what earlier ones lost.
//
// Readers get the drift-corrected target W* (pre_correct.h): their inputs are zero at the removed
// channels, so that its other columns at α = 1 are W H̃_{:,S}(H_SS + λI)⁻¹ with H̃ of the original's
// inputs against the changed ones. Writers get W* without the rows of removed channels; β makes up
// for what the stream has lost at those kept.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "architecture/stages.h"
#include "base/status.h"
#include "layerwise/rounding/pre_correct.h"
#include "layerwise/walk/durable_solver.h"

namespace frugal::passes {

struct ChannelOptions {
  std::vector<int64_t> kept, removed;  // channels, ascending; removed_channels of the walk
  architecture::StreamUses uses;
  layerwise::DriftStrength drift_strength;
  layerwise::FactorOptions factor;
  int64_t min_tokens = 0;  // that a matrix must have seen; the error of its output is not known
  at::ScalarType stored_type = at::kFloat;  // the walk goes on with what will be stored
};

class ChannelSolver final : public layerwise::DurableSolver {
 public:
  // `store` outlives the solver.
  ChannelSolver(ChannelOptions options, const layerwise::LayerStore& store)
      : DurableSolver(store), options_(std::move(options)) {}

  layerwise::Needs needs(const architecture::StageRef& /*at*/) const override {
    return layerwise::Needs::kHessian;
  }
  layerwise::DriftForm drift_form() const override { return layerwise::DriftForm::kOutputs; }
  absl::StatusOr<at::Tensor> solve(const layerwise::StageProblem& problem) override;
  absl::StatusOr<at::Tensor> restore(const layerwise::StageProblem& problem) override;

 private:
  // The dimension of channels: 0 rows, 1 columns.
  int64_t dimension(const layerwise::StageProblem& problem) const;
  // The new weights of rows [begin, begin + count) of a stage, full width, with zeros.
  at::Tensor refit(const layerwise::StageProblem& problem, int64_t begin, int64_t count,
                   const layerwise::Factor& factor) const;
  void record(const layerwise::StageProblem& problem, const layerwise::Factor& factor,
              double correction, double seconds);

  ChannelOptions options_;
};

}  // namespace frugal::passes
