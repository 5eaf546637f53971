// Refusals of what a pass cannot do with some kinds of layers, for plan and run alike.
#pragma once

#include <string_view>

#include "architecture/model_config.h"
#include "base/status.h"

namespace frugal::passes {

// Of a mixture of experts. `what`: "smooth", "prune: ffn"; `remedy`: what to do instead.
absl::Status refuse_experts(const architecture::ModelConfig& config, std::string_view what,
                            std::string_view remedy);

// Where layers have feed-forwards of different widths, or some have experts and others none: a
// share of their neurons would be another number in each.
absl::Status refuse_two_feed_forwards(const architecture::ModelConfig& config,
                                      std::string_view what);

// Where queries and keys are normed over all heads at once: fewer heads would change the norm of
// those that stay.
absl::Status refuse_norms_over_heads(const architecture::ModelConfig& config,
                                     std::string_view what);

}  // namespace frugal::passes
