// Which weights take the inverse of a stage's channel scales: decided from metadata, the same in
// check and run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "architecture/model_config.h"
#include "architecture/roles.h"
#include "base/status.h"
#include "layerwise/transform/equalize.h"

namespace frugal::passes {

struct ScaleGroup {
  std::string stage;  // "attention_in"
  // Behind the activation of a plain feed-forward: no weight could take its scales, so it has none.
  bool left_alone = false;
  std::vector<architecture::Role> matrices;  // their columns are multiplied
  architecture::Role source = architecture::Role::kNormBeforeAttention;  // gains [in], or rows
  layerwise::Sharing sharing;  // columns that one row of `source` makes
  int64_t columns = 0;
};

// One group per stage of a layer, in their order. Errors: an architecture with a stage whose input
// no weight scales, other than the last of a plain feed-forward.
absl::StatusOr<std::vector<ScaleGroup>> scale_groups(const architecture::ModelConfig& config);

// Matrices whose rounding moves attention scores; AWQ never clips them.
bool is_query_or_key(architecture::Role matrix);

}  // namespace frugal::passes
