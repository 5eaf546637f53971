#include "passes/prune/method.h"

#include <algorithm>

#include "passes/common/calibration_options.h"

namespace frugal::passes {

double PruneMethod::walk_operations(const architecture::ModelConfig& config, int64_t tokens) const {
  return layerwise::estimate_walk_operations(config, tokens, corrects_drift(),
                                             options_.windows.expert_blend);
}

double PruneMethod::attention_operations(const architecture::ModelConfig& config,
                                         const layerwise::CalibrationPlan& calibration) const {
  return (corrects_drift() ? 2 : 1) *
         layerwise::estimate_attention_operations(config, calibration.tokens(), calibration.length);
}

double PruneMethod::extra_operations(const architecture::ModelConfig& /*config*/,
                                     int64_t /*tokens*/) const {
  return 0;
}

// With what a solver holds at most beside its problem: the factorization, or the factor with
// corrections, scores and the refit's fp32 copies.
absl::StatusOr<int64_t> PruneMethod::walk_bytes(
    const architecture::ModelConfig& config, const layerwise::CalibrationPlan& calibration) const {
  const bool drift = corrects_drift();
  layerwise::WalkDemand demand = walk_demand(options_.windows, calibration);
  if (drift) demand.drift = layerwise::DriftForm::kOutputs;
  const auto solver = [&](const layerwise::StageShape& stage) -> int64_t {
    const int64_t w = stage.rows * stage.columns, h = stage.columns * stage.columns;
    return std::max(40 * h, 16 * h + (drift ? 32 : 21) * w);
  };
  FRUGAL_ASSIGN_OR_RETURN(const layerwise::WalkMemory memory,
                          layerwise::walk_memory(config, demand, solver));
  return memory.total();
}

absl::StatusOr<int64_t> PruneMethod::observing_bytes(
    const architecture::ModelConfig& config, const layerwise::CalibrationPlan& calibration) const {
  layerwise::WalkDemand demand = walk_demand(options_.windows, calibration);
  demand.needs = layerwise::Needs::kNothing;
  FRUGAL_ASSIGN_OR_RETURN(
      const layerwise::WalkMemory memory,
      layerwise::walk_memory(config, demand, [](const layerwise::StageShape&) { return 0; }));
  return memory.total();
}

absl::StatusOr<std::unique_ptr<PruneMethod>> make_prune_method(const PruneOptions& options) {
  FRUGAL_ASSIGN_OR_RETURN(const PruneKind kind, options.kind());
  switch (kind) {
    case PruneKind::kMask:
      return make_mask_pruning(options);
    case PruneKind::kWidth:
      return make_width_pruning(options);
    case PruneKind::kExperts:
      return make_expert_pruning(options);
    case PruneKind::kChannels:
      return make_channel_pruning(options);
    case PruneKind::kDepth:
      break;
  }
  return make_depth_pruning(options);
}

}  // namespace frugal::passes
