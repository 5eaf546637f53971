// Which weights take the inverse of a stage's channel scales: decided from metadata, the same in
// check and run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/model_config.h"
#include "layerwise/transform/equalize.h"

namespace frugal::passes {

struct ScaleGroup {
  std::string stage;                  // "attention_in"
  std::vector<std::string> matrices;  // below the layer; their columns are multiplied
  std::string source;                 // below the layer; a norm [in], or the rows of a matrix
  layerwise::Sharing sharing;         // columns that one row of `source` makes
  int64_t columns = 0;
};

// One group per stage of a layer, in their order. Errors: an architecture with a stage whose input
// no weight scales, or with biases, which the exchange would have to scale too.
absl::StatusOr<std::vector<ScaleGroup>> scale_groups(const format::ModelConfig& config);

// Matrices whose rounding moves attention scores; AWQ never clips them.
bool is_query_or_key(std::string_view matrix);

}  // namespace frugal::passes
