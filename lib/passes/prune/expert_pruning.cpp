// Tested by: tests/passes/prune_experts_test.cpp
// Fewer experts in every layer of a mixture.
#include <algorithm>
#include <string>
#include <vector>

#include "base/text.h"
#include "passes/prune/experts.h"
#include "passes/prune/output.h"
#include "passes/prune/share.h"

namespace frugal::passes {
namespace {

class ExpertPruning final : public PruneMethod {
 public:
  using PruneMethod::PruneMethod;

  bool needs_text() const override { return true; }
  bool corrects_drift() const override { return false; }
  absl::Status check(pass::CheckContext& context, int64_t tokens,
                     pass::ModelInfo& model) const override;
  double walk_operations(const architecture::ModelConfig& config, int64_t tokens) const override {
    return layerwise::estimate_forward_operations(config, tokens);
  }
  double extra_operations(const architecture::ModelConfig& config, int64_t tokens) const override;
  absl::StatusOr<int64_t> walk_bytes(const architecture::ModelConfig& config,
                                     const layerwise::CalibrationPlan& calibration) const override;
  absl::Status run(const PruneRun& run) const override;

 private:
  bool merges() const { return options().experts_by == "merge"; }
  bool enumerates() const { return options().experts_by == "enumerate"; }
  absl::StatusOr<KeptExperts> choose(const PruneRun& run) const {
    if (merges()) return merge_experts(run, options());
    return enumerates() ? keep_by_enumeration(run, options()) : keep_by_score(run, options());
  }
};

absl::Status ExpertPruning::check(pass::CheckContext& context, int64_t /*tokens*/,
                                  pass::ModelInfo& model) const {
  KeptExperts kept(model.config.layers.size());
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
  if (enumerates()) FRUGAL_RETURN_IF_ERROR(check_enumeration(model.config, options().experts));
  model.config = with_experts(std::move(model.config), kept);
  return absl::OkStatus();
}

double ExpertPruning::extra_operations(const architecture::ModelConfig& config,
                                       int64_t tokens) const {
  if (merges()) return merging_operations(config, options().experts, tokens);
  return enumerates() ? enumeration_operations(config, options().experts, tokens) : 0.0;
}

absl::StatusOr<int64_t> ExpertPruning::walk_bytes(
    const architecture::ModelConfig& config, const layerwise::CalibrationPlan& calibration) const {
  FRUGAL_ASSIGN_OR_RETURN(const int64_t walk, observing_bytes(config, calibration));
  if (!merges() && !enumerates()) return walk;
  int64_t most = 0;
  for (const architecture::Layer& layer : config.layers) {
    if (!layer.experts) continue;
    const int64_t e = layer.experts->count, c = config.hidden_size, f = layer.feed_forward.width;
    // What every expert makes of all tokens, the tokens once more, and one expert ready.
    int64_t bytes = 4 * calibration.tokens() * (e + 1) * c + 2 * 4 * 3 * c * f;
    if (enumerates()) {
      const int64_t chunk = layerwise::WalkOptions{}.chunk_tokens;
      bytes += 8 * chunk * (e * e + 8 * e);
    } else {
      // Members of a group in fp32 and a sum, costs of neurons; or the moment of a refit with its
      // factorization.
      bytes = std::max(bytes, std::max(4 * 4 * 3 * c * f + 4 * 8 * f * f, 6 * 8 * f * f));
      bytes += 4 * 3 * c * f * kept_experts(options().experts, e);  // what was merged so far
    }
    most = std::max(most, bytes);
  }
  return walk + most;
}

absl::Status ExpertPruning::run(const PruneRun& run) const {
  FRUGAL_ASSIGN_OR_RETURN(const KeptExperts kept, choose(run));
  FRUGAL_RETURN_IF_ERROR(write_with_experts(run.input(), kept, merges() ? &run.store : nullptr,
                                            run.context.output_folder()));
  return report_sizes(run.context);
}

}  // namespace

std::unique_ptr<PruneMethod> make_expert_pruning(const PruneOptions& options) {
  return std::make_unique<ExpertPruning>(options);
}

}  // namespace frugal::passes
