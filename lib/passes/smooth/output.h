// What smoothing leaves behind: the equivalent checkpoint, assembled from the layer store, and its
// numbers.
#pragma once

#include <filesystem>
#include <vector>

#include "base/status.h"
#include "format/checkpoint.h"
#include "layerwise/walk/layer_store.h"
#include "pass/pass.h"
#include "passes/smooth/groups.h"

namespace frugal::passes {

// Changed weights are computed in fp64 and stored as fp32, or in their own type with `keep_type`.
absl::Status write_smoothed(const format::Checkpoint& input, const std::vector<ScaleGroup>& groups,
                            bool keep_type, const layerwise::LayerStore& store,
                            const std::filesystem::path& folder);

// Table `smoothing` and the step's statistics, from the stored records.
absl::Status report_smoothed(pass::RunContext& context, const layerwise::LayerStore& store);

}  // namespace frugal::passes
