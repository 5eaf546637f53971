// Which zeros each matrix is to have.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "architecture/model_config.h"
#include "architecture/stages.h"
#include "base/status.h"
#include "layerwise/pruning/pattern.h"
#include "passes/prune/options.h"

namespace frugal::passes {

// The pattern of every decoder matrix: `pattern`, or the last of the overrides whose glob matches.
// Errors: a pattern that cannot be read or does not fit a matrix; a glob that matches nothing.
struct MatrixPattern {
  std::string name;
  architecture::StageRef at;
  std::vector<int64_t> shape;
  layerwise::Pattern pattern;
};
absl::StatusOr<std::vector<MatrixPattern>> matrix_patterns(const PruneOptions& options,
                                                           const architecture::ModelConfig& config);

}  // namespace frugal::passes
