// Tested by: tests/passes/prune_channels_test.cpp
// Channels of the residual stream, for the whole model at once.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "architecture/stages.h"
#include "base/text.h"
#include "layerwise/pruning/channels.h"
#include "passes/common/layer_kinds.h"
#include "passes/common/zeros.h"
#include "passes/prune/channel_solver.h"
#include "passes/prune/channels.h"
#include "passes/prune/method.h"
#include "passes/prune/output.h"
#include "passes/prune/share.h"
#include "tensor/transfer.h"

namespace frugal::passes {
namespace {

// The refit of what is left solves a system per matrix; from few tokens it fits their noise (on
// 2048 and 5120 tokens for 256 columns it lost to the mere cut, on 16384 it halved the divergence).
constexpr int64_t kRefitTokensPerColumn = 16;

void warn_of_little_text(pass::CheckContext& context, const architecture::ModelConfig& config,
                         int64_t tokens) {
  const int64_t widest = std::max(config.hidden_size, config.layers.front().feed_forward.width);
  if (tokens >= kRefitTokensPerColumn * widest) return;
  context.warn(base::str_cat("prune: ", tokens, " calibration tokens are few to refit rows of ",
                             widest, " weights without some channels; take at least ",
                             kRefitTokensPerColumn * widest,
                             " (more `windows`), or compensate: false"));
}

class ChannelPruning final : public PruneMethod {
 public:
  using PruneMethod::PruneMethod;

  bool needs_text() const override {
    return options().compensate || options().score != "magnitude";
  }
  bool corrects_drift() const override { return options().compensate && has_drift_strength(); }
  absl::Status check(pass::CheckContext& context, int64_t tokens,
                     pass::ModelInfo& model) const override;
  double extra_operations(const architecture::ModelConfig& config, int64_t tokens) const override;
  absl::Status run(const PruneRun& run) const override;

 private:
  absl::Status check_options(const architecture::ModelConfig& config) const;
  int64_t kept_channels(const architecture::ModelConfig& config) const {
    return layerwise::kept_structures(config.hidden_size, options().channels,
                                      options().multiple_of);
  }
  absl::StatusOr<ChannelOptions> solver_options(const format::Checkpoint& input,
                                                std::vector<int64_t> kept) const;
};

absl::Status ChannelPruning::check_options(const architecture::ModelConfig& config) const {
  FRUGAL_RETURN_IF_ERROR(
      refuse_centered_norms(config, "prune: channels", "prune ffn or depth instead"));
  for (const auto& [name, use] : architecture::stream_uses(config)) {
    if (use != architecture::StreamUse::kOffsets) continue;
    return base::unimplemented(
        "prune: channels of models whose blocks add biases to the residual "
        "stream (",
        name, ") are not removed");
  }
  if (options().multiple_of > config.hidden_size) {
    return base::invalid_argument("prune: multiple_of = ", options().multiple_of,
                                  " is larger than the model's ", config.hidden_size, " channels");
  }
  if (options().structure_score(PruneKind::kChannels) == layerwise::StructureScore::kObsGreedy) {
    return base::invalid_argument(
        "prune: channels go for all layers at once, and obs_greedy would hold the second moments "
        "of all of them; take score obs");
  }
  if (options().compensate && options().alpha == 0 && options().beta == 0) {
    return base::invalid_argument(
        "prune: what is left of the channels makes up for what they have lost against the original "
        "model by the shares alpha and beta, which are both 0; raise them, or set compensate: "
        "false");
  }
  return absl::OkStatus();
}

absl::Status ChannelPruning::check(pass::CheckContext& context, int64_t tokens,
                                   pass::ModelInfo& model) const {
  FRUGAL_RETURN_IF_ERROR(check_options(model.config));
  FRUGAL_RETURN_IF_ERROR(refuse_experts(model.config, "prune: channels",
                                        "prune whole experts (experts) or heads instead"));
  const int64_t count = model.config.hidden_size, keep = kept_channels(model.config);
  FRUGAL_RETURN_IF_ERROR(check_share(context, "channels", options().channels, count, keep,
                                     "channels",
                                     possible_multiples(count, keep, options().multiple_of)));
  if (options().compensate) {
    warn_of_little_text(context, model.config, tokens);
    if (model.config.tied_embeddings) {
      context.warn(
          "prune: the head is tied to the embedding and cannot be refitted to the channels that "
          "are left; untie it for a better result (rotate does)");
    }
    lose_zeros(context, "prune", model, [](const std::string&) { return true; }, kRefitFillsZeros);
  }
  model.config = layerwise::with_channels(model.config, kept_channels(model.config));
  return absl::OkStatus();
}

// One walk to choose, besides that to refit.
double ChannelPruning::extra_operations(const architecture::ModelConfig& config,
                                        int64_t tokens) const {
  if (options().score == "magnitude" || !options().compensate) return 0;
  return layerwise::estimate_walk_operations(config, tokens, false);
}

absl::StatusOr<ChannelOptions> ChannelPruning::solver_options(const format::Checkpoint& input,
                                                              std::vector<int64_t> kept) const {
  ChannelOptions result;
  result.uses = architecture::stream_uses(input.config());
  FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info,
                          input.info(architecture::layer_matrices(input.config()).front()));
  result.stored_type = tensor::scalar_type(info.dtype);
  result.removed = layerwise::other_channels(kept, input.config().hidden_size);
  result.kept = std::move(kept);
  result.min_tokens = options().gate.min_tokens;
  result.drift_strength = {options().alpha, options().beta};
  result.factor.damping = options().cut_damping();
  return result;
}

absl::Status ChannelPruning::run(const PruneRun& run) const {
  const format::Checkpoint& input = run.input();
  FRUGAL_ASSIGN_OR_RETURN(
      std::vector<int64_t> kept,
      choose_channels(input, run.calibration, run.walk,
                      {.keep = kept_channels(input.config()),
                       .score = options().structure_score(PruneKind::kChannels)}));
  if (options().compensate) {
    FRUGAL_ASSIGN_OR_RETURN(const ChannelOptions solver_settings, solver_options(input, kept));
    layerwise::WalkOptions reduced = run.walk;
    reduced.removed_channels = solver_settings.removed;
    ChannelSolver solver(solver_settings, run.store);
    FRUGAL_RETURN_IF_ERROR(layerwise::walk(input, run.calibration, reduced, solver));
  }
  FRUGAL_RETURN_IF_ERROR(write_without_channels(
      input, kept, options().compensate ? &run.store : nullptr, run.context.output_folder()));
  if (options().compensate) FRUGAL_RETURN_IF_ERROR(report_errors(run.context, run.store));
  run.context.statistic({.name = "channels_kept",
                         .value = static_cast<double>(kept.size()),
                         .unit = "channels",
                         .help = base::str_cat("Of ", input.config().hidden_size, ".")});
  return report_sizes(run.context);
}

}  // namespace

std::unique_ptr<PruneMethod> make_channel_pruning(const PruneOptions& options) {
  return std::make_unique<ChannelPruning>(options);
}

}  // namespace frugal::passes
