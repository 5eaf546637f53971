// What the mixtures of experts share in config.json.
#pragma once

#include <string_view>

#include "architecture/model_config.h"

namespace frugal::architecture {

// Reads the number of experts under `count_key` and "num_experts_per_tok" into `experts`. Errors:
// more for a token than there are.
absl::Status read_experts(const base::Json& json, std::string_view where,
                          std::string_view count_key, int64_t otherwise_count,
                          int64_t otherwise_per_token, Experts& experts);
// The weight of the balance of experts in the loss of training.
absl::Status read_router_loss(const base::Json& json, std::string_view where, double otherwise,
                              ModelConfig& config);
// What read_experts() reads, of the first layer that has some.
void write_experts(const ModelConfig& config, std::string_view count_key, base::Json& json);

}  // namespace frugal::architecture
