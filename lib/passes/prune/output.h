// What pruning leaves behind: the narrower checkpoint, assembled from the layer store, and its
// numbers.
#pragma once

#include <filesystem>

#include "base/status.h"
#include "format/checkpoint.h"
#include "layerwise/layer_store.h"
#include "pass/pass.h"
#include "passes/prune/width_solver.h"

namespace frugal::passes {

absl::Status write_narrowed(const format::Checkpoint& input, const WidthSolverOptions& options,
                            const layerwise::LayerStore& store,
                            const std::filesystem::path& folder);

// Table `layer_error` and the step's statistics, from the stored records.
absl::Status report_narrowed(pass::RunContext& context, const layerwise::LayerStore& store);

}  // namespace frugal::passes
