// The ways to have fewer experts, as a walk over the whole model goes by.
#pragma once

#include <cstdint>
#include <vector>

#include "architecture/model_config.h"
#include "base/status.h"
#include "passes/prune/method.h"
#include "passes/prune/options.h"

namespace frugal::passes {

// By layer the experts that stay, ascending; empty where a layer has none.
using KeptExperts = std::vector<std::vector<int64_t>>;

// How many stay of `count`: the nearest number, at least one.
int64_t kept_experts(double share, int64_t count);

// Those that add most to the tokens that come to them (REAP).
absl::StatusOr<KeptExperts> keep_by_score(const PruneRun& run, const PruneOptions& options);

// The set with the least error of the layer's output. Errors of the check: too many sets, with
// their number.
absl::Status check_enumeration(const architecture::ModelConfig& config, double share);
absl::StatusOr<KeptExperts> keep_by_enumeration(const PruneRun& run, const PruneOptions& options);

// Groups of experts that are alike become one each, in the place of the most used one: that one is
// kept, and what it has become lies in the run's store under its new names.
absl::StatusOr<KeptExperts> merge_experts(const PruneRun& run, const PruneOptions& options);

// Operations beside a forward.
double enumeration_operations(const architecture::ModelConfig& config, double share,
                              int64_t tokens);
double merging_operations(const architecture::ModelConfig& config, double share, int64_t tokens);

// Table `expert_scores`: of every expert its tokens, its score and whether it is kept.
void report_experts(pass::RunContext& context, int64_t layer, const std::vector<double>& scores,
                    const std::vector<int64_t>& tokens, const std::vector<int64_t>& kept);

}  // namespace frugal::passes
