// Tested by: tests/passes/prune_experts_test.cpp
// Whole experts of a mixture: those that add least to the tokens that come to them.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/text.h"
#include "layerwise/pruning/experts.h"
#include "layerwise/walk/passive_solver.h"
#include "passes/prune/method.h"
#include "passes/prune/output.h"
#include "passes/prune/share.h"

namespace frugal::passes {
namespace {

int64_t kept_experts(double share, int64_t count) {
  return std::clamp<int64_t>(std::llround(share * static_cast<double>(count)), 1, count);
}

// One for each layer; empty where a layer has no experts.
using Kept = std::vector<std::vector<int64_t>>;

class ExpertPruning final : public PruneMethod {
 public:
  using PruneMethod::PruneMethod;

  bool needs_text() const override { return true; }
  bool corrects_drift() const override { return false; }
  absl::Status check(pass::CheckContext& context, int64_t tokens,
                     pass::ModelInfo& model) const override;
  absl::StatusOr<int64_t> walk_bytes(const architecture::ModelConfig& config,
                                     const layerwise::CalibrationPlan& calibration) const override;
  absl::Status run(const PruneRun& run) const override;

 private:
  absl::StatusOr<Kept> choose(const PruneRun& run) const;
  void report(pass::RunContext& context, int64_t layer, const std::vector<double>& scores,
              const std::vector<int64_t>& tokens, const std::vector<int64_t>& kept) const;
};

absl::Status ExpertPruning::check(pass::CheckContext& context, int64_t /*tokens*/,
                                  pass::ModelInfo& model) const {
  Kept kept(model.config.layers.size());
  bool any = false;
  for (size_t i = 0; i < kept.size(); ++i) {
    const auto& experts = model.config.layers[i].experts;
    if (!experts) continue;
    const int64_t keep = kept_experts(options().experts, experts->count);
    if (!any) {
      FRUGAL_RETURN_IF_ERROR(check_share(context, "experts", options().experts, experts->count,
                                         keep, "experts", base::str_cat("1 to ", experts->count)));
    }
    if (!any && keep < experts->per_token) {
      context.warn(base::str_cat("prune: ", keep, " experts stay, fewer than the ",
                                 experts->per_token,
                                 " that a token runs through: it will run "
                                 "through all that are left"));
    }
    any = true;
    for (int64_t e = 0; e < keep; ++e) kept[i].push_back(e);
  }
  if (!any) {
    return base::invalid_argument("prune: experts = ", options().experts, ", but '", model.name,
                                  "' (", model.config.architecture,
                                  ") has no experts; prune ffn or heads instead");
  }
  model.config = with_experts(std::move(model.config), kept);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> ExpertPruning::walk_bytes(
    const architecture::ModelConfig& config, const layerwise::CalibrationPlan& calibration) const {
  FRUGAL_ASSIGN_OR_RETURN(const int64_t walk, observing_bytes(config, calibration));
  int64_t routed = 0;  // what experts made of all tokens of a layer
  for (const architecture::Layer& layer : config.layers) {
    if (layer.experts)
      routed = std::max(routed,
                        4 * calibration.tokens() * layer.experts->per_token * config.hidden_size);
  }
  return walk + routed;
}

void ExpertPruning::report(pass::RunContext& context, int64_t layer,
                           const std::vector<double>& scores, const std::vector<int64_t>& tokens,
                           const std::vector<int64_t>& kept) const {
  for (size_t e = 0; e < scores.size(); ++e) {
    base::Json row;
    row["layer"] = layer;
    row["expert"] = e;
    row["tokens"] = tokens[e];
    row["score"] = base::finite_or_null(scores[e]);
    row["kept"] = std::binary_search(kept.begin(), kept.end(), static_cast<int64_t>(e));
    context.row("expert_scores", std::move(row));
  }
}

absl::StatusOr<Kept> ExpertPruning::choose(const PruneRun& run) const {
  const architecture::ModelConfig& config = run.input().config();
  std::vector<layerwise::ExpertScores> scores(config.layers.size());
  layerwise::WalkOptions observed = run.walk;
  observed.observe_experts = [&](int64_t layer, const model::Routing& routing) {
    scores[static_cast<size_t>(layer)].add(routing);
  };
  layerwise::PassiveSolver observer;
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(run.input(), run.calibration, observed, observer));
  Kept kept(config.layers.size());
  for (size_t i = 0; i < kept.size(); ++i) {
    const auto& experts = config.layers[i].experts;
    if (!experts) continue;
    const std::vector<double> means = scores[i].means();
    kept[i] = layerwise::experts_to_keep(means, kept_experts(options().experts, experts->count));
    report(run.context, static_cast<int64_t>(i), means, scores[i].tokens(), kept[i]);
  }
  return kept;
}

absl::Status ExpertPruning::run(const PruneRun& run) const {
  FRUGAL_ASSIGN_OR_RETURN(const Kept kept, choose(run));
  FRUGAL_RETURN_IF_ERROR(write_with_experts(run.input(), kept, run.context.output_folder()));
  return report_sizes(run.context);
}

}  // namespace

std::unique_ptr<PruneMethod> make_expert_pruning(const PruneOptions& options) {
  return std::make_unique<ExpertPruning>(options);
}

}  // namespace frugal::passes
