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

// Where norms take the mean of the residual stream away, which depends on all of its channels.
absl::Status refuse_centered_norms(const architecture::ModelConfig& config, std::string_view what,
                                   std::string_view remedy);

// Where config.json has no head size, so that fewer heads would be read as wider ones.
absl::Status refuse_heads_that_fill_the_stream(const architecture::ModelConfig& config,
                                               std::string_view what);

}  // namespace frugal::passes
