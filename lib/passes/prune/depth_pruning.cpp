// Tested by: tests/passes/prune_test.cpp
// Whole layers: those that change the residual stream least, or those named.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "layerwise/pruning/depth.h"
#include "layerwise/walk/passive_solver.h"
#include "passes/prune/method.h"
#include "passes/prune/output.h"

namespace frugal::passes {
namespace {

// Layers named one by one.
absl::StatusOr<std::vector<int64_t>> layers_without(const std::vector<int64_t>& dropped,
                                                    int64_t layers) {
  std::vector<int64_t> kept;
  for (const int64_t layer : dropped) {
    if (layer < 0 || layer >= layers) {
      return base::invalid_argument("prune: drop_layer_indices names layer ", layer,
                                    ", the model has 0 to ", layers - 1);
    }
    if (std::count(dropped.begin(), dropped.end(), layer) > 1)
      return base::invalid_argument("prune: drop_layer_indices names layer ", layer, " twice");
  }
  for (int64_t layer = 0; layer < layers; ++layer) {
    if (std::find(dropped.begin(), dropped.end(), layer) == dropped.end()) kept.push_back(layer);
  }
  if (kept.empty()) return base::invalid_argument("prune: drop_layer_indices leaves no layer");
  return kept;
}

// What check says of a depth, before the influences are known: their number is right, and which
// they are where they were named.
absl::StatusOr<std::vector<int64_t>> kept_before_looking(const PruneOptions& options,
                                                         int64_t layers) {
  if (!options.drop_layer_indices.empty())
    return layers_without(options.drop_layer_indices, layers);
  const std::vector<double> unknown(static_cast<size_t>(layers), 0.0);
  auto kept = layerwise::layers_to_keep(unknown, {.drop = options.drop_layers,
                                                  .protect_first = options.protect_first,
                                                  .protect_last = options.protect_last});
  if (!kept.ok()) return base::annotate(kept.status(), "prune");
  return kept;
}

class DepthPruning final : public PruneMethod {
 public:
  using PruneMethod::PruneMethod;

  bool needs_text() const override { return options().drop_layer_indices.empty(); }
  bool corrects_drift() const override { return false; }
  absl::Status check(pass::CheckContext& context, int64_t tokens,
                     pass::ModelInfo& model) const override;
  absl::StatusOr<int64_t> walk_bytes(const architecture::ModelConfig& config,
                                     const layerwise::CalibrationPlan& calibration) const override;
  absl::Status run(const PruneRun& run) const override;

 private:
  absl::StatusOr<std::vector<int64_t>> kept_layers(const PruneRun& run) const;
};

absl::Status DepthPruning::check(pass::CheckContext& /*context*/, int64_t /*tokens*/,
                                 pass::ModelInfo& model) const {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<int64_t> kept,
                          kept_before_looking(options(), model.config.layer_count()));
  model.config = shallower_config(std::move(model.config), kept);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> DepthPruning::walk_bytes(
    const architecture::ModelConfig& config, const layerwise::CalibrationPlan& calibration) const {
  return observing_bytes(config, calibration);
}

absl::StatusOr<std::vector<int64_t>> DepthPruning::kept_layers(const PruneRun& run) const {
  const int64_t layers = run.input().config().layer_count();
  if (!options().drop_layer_indices.empty())
    return layers_without(options().drop_layer_indices, layers);
  std::vector<double> influence(static_cast<size_t>(layers));
  layerwise::WalkOptions observed = run.walk;
  observed.observe = [&](int64_t layer, const std::vector<at::Tensor>& before,
                         const std::vector<at::Tensor>& after) {
    influence[static_cast<size_t>(layer)] = layerwise::block_influence(before, after);
  };
  layerwise::PassiveSolver observer;
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(run.input(), run.calibration, observed, observer));
  FRUGAL_ASSIGN_OR_RETURN(
      std::vector<int64_t> kept,
      layerwise::layers_to_keep(influence, {.drop = options().drop_layers,
                                            .protect_first = options().protect_first,
                                            .protect_last = options().protect_last}));
  for (int64_t layer = 0; layer < layers; ++layer) {
    base::Json row;
    row["layer"] = layer;
    row["influence"] = base::finite_or_null(influence[static_cast<size_t>(layer)]);
    row["kept"] = std::find(kept.begin(), kept.end(), layer) != kept.end();
    run.context.row("layer_influence", std::move(row));
  }
  return kept;
}

absl::Status DepthPruning::run(const PruneRun& run) const {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<int64_t> kept, kept_layers(run));
  FRUGAL_RETURN_IF_ERROR(write_shallower(run.input(), kept, run.context.output_folder()));
  run.context.statistic({.name = "layers_kept",
                         .value = static_cast<double>(kept.size()),
                         .unit = "layers",
                         .help = base::str_cat("Of ", run.input().config().layer_count(), ".")});
  return report_sizes(run.context);
}

}  // namespace

std::unique_ptr<PruneMethod> make_depth_pruning(const PruneOptions& options) {
  return std::make_unique<DepthPruning>(options);
}

}  // namespace frugal::passes
