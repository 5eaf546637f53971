// Tested by: tests/passes/prune_experts_test.cpp
// Experts that stay because no other set of so many comes nearer to the whole layer.
#include <algorithm>

#include "base/text.h"
#include "layerwise/pruning/expert_outputs.h"
#include "layerwise/pruning/expert_subsets.h"
#include "layerwise/pruning/experts.h"
#include "layerwise/walk/passive_solver.h"
#include "passes/prune/experts.h"

namespace frugal::passes {
namespace {

// What the search found in a layer, beside what REAP's scores would have kept.
void report_choice(pass::RunContext& context, int64_t layer, const layerwise::SubsetErrors& errors,
                   const std::vector<int64_t>& by_score) {
  const std::vector<double> relative = errors.relative();
  const auto error_of = [&](const std::vector<int64_t>& set) {
    const auto found = std::find(errors.sets().begin(), errors.sets().end(), set);
    return relative[static_cast<size_t>(found - errors.sets().begin())];
  };
  base::Json row;
  row["layer"] = layer;
  row["sets"] = relative.size();
  row["error"] = error_of(errors.best());
  row["error_by_score"] = error_of(by_score);
  row["error_worst"] = *std::max_element(relative.begin(), relative.end());
  context.row("expert_choice", std::move(row));
}

}  // namespace

absl::Status check_enumeration(const architecture::ModelConfig& config, double share) {
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const auto& experts = config.layers[i].experts;
    if (!experts) continue;
    const int64_t keep = kept_experts(share, experts->count);
    const int64_t sets = layerwise::subset_count(experts->count, keep);
    if (sets <= layerwise::kMostSubsets) continue;
    return base::invalid_argument("prune: experts_by = enumerate would try ", sets, " sets of ",
                                  keep, " of the ", experts->count, " experts in layer ", i,
                                  ", at most ", layerwise::kMostSubsets,
                                  " are tried; take experts_by: reap, or a share with fewer sets");
  }
  return absl::OkStatus();
}

double enumeration_operations(const architecture::ModelConfig& config, double share,
                              int64_t tokens) {
  double operations = 0;
  for (const architecture::Layer& layer : config.layers) {
    if (!layer.experts) continue;
    const auto e = static_cast<double>(layer.experts->count);
    const auto c = static_cast<double>(config.hidden_size);
    const double outputs = 2 * e * 3 * c * static_cast<double>(layer.feed_forward.width);
    const auto sets = static_cast<double>(
        layerwise::subset_count(layer.experts->count, kept_experts(share, layer.experts->count)));
    operations += static_cast<double>(tokens) * (outputs + 2 * e * e * c + 2 * sets * e * e);
  }
  return operations;
}

absl::StatusOr<KeptExperts> keep_by_enumeration(const PruneRun& run, const PruneOptions& options) {
  const architecture::ModelConfig& config = run.input().config();
  FRUGAL_RETURN_IF_ERROR(check_enumeration(config, options.experts));
  KeptExperts kept(config.layers.size());
  layerwise::WalkOptions observed = run.walk;
  observed.observe_experts = [&](const layerwise::LayerExperts& experts) -> absl::Status {
    const auto at = static_cast<size_t>(experts.layer);
    const architecture::Experts& shape = *config.layers[at].experts;
    const int64_t keep = kept_experts(options.experts, shape.count);
    FRUGAL_ASSIGN_OR_RETURN(
        const std::vector<at::Tensor> outputs,
        layerwise::all_expert_outputs(run.input(), experts, run.walk.precision));
    layerwise::SubsetErrors errors(shape, keep);
    layerwise::ExpertScores scores;
    for (size_t i = 0; i < experts.chunks; ++i) {
      const model::Routing routing = experts.routing(i);
      scores.add(routing);
      errors.add(routing.probabilities.cpu(), outputs[i]);
    }
    kept[at] = errors.best();
    const std::vector<double> means = scores.means();
    report_experts(run.context, experts.layer, means, scores.tokens(), kept[at]);
    report_choice(run.context, experts.layer, errors, layerwise::experts_to_keep(means, keep));
    return absl::OkStatus();
  };
  layerwise::PassiveSolver observer;
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(run.input(), run.calibration, observed, observer));
  return kept;
}

}  // namespace frugal::passes
