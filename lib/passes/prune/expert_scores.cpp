// Tested by: tests/passes/prune_experts_test.cpp
// Experts that stay by what they add to their tokens.
#include <algorithm>
#include <cmath>

#include "layerwise/pruning/experts.h"
#include "layerwise/walk/passive_solver.h"
#include "passes/prune/experts.h"

namespace frugal::passes {

int64_t kept_experts(double share, int64_t count) {
  return std::clamp<int64_t>(std::llround(share * static_cast<double>(count)), 1, count);
}

void report_experts(pass::RunContext& context, int64_t layer, const std::vector<double>& scores,
                    const std::vector<int64_t>& tokens, const std::vector<int64_t>& kept) {
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

absl::StatusOr<KeptExperts> keep_by_score(const PruneRun& run, const PruneOptions& options) {
  const architecture::ModelConfig& config = run.input().config();
  KeptExperts kept(config.layers.size());
  layerwise::WalkOptions observed = run.walk;
  observed.observe_experts = [&](const layerwise::LayerExperts& experts) {
    const auto at = static_cast<size_t>(experts.layer);
    layerwise::ExpertScores scores;
    for (size_t i = 0; i < experts.chunks; ++i) scores.add(experts.routing(i));
    const std::vector<double> means = scores.means();
    kept[at] = layerwise::experts_to_keep(
        means, kept_experts(options.experts, config.layers[at].experts->count));
    report_experts(run.context, experts.layer, means, scores.tokens(), kept[at]);
    return absl::OkStatus();
  };
  layerwise::PassiveSolver observer;
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(run.input(), run.calibration, observed, observer));
  return kept;
}

}  // namespace frugal::passes
