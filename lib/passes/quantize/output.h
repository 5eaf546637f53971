// What a quantization leaves behind: the checkpoint, assembled from the layer store, and its
// numbers.
#pragma once

#include <filesystem>
#include <vector>

#include "base/status.h"
#include "format/checkpoint.h"
#include "layerwise/walk/layer_store.h"
#include "pass/pass.h"
#include "passes/quantize/plan.h"
#include "train/scale_tuning.h"

namespace frugal::passes {

// Every planned matrix by name: from the layer store, and the embedding, where it is on a grid,
// rounded to nearest with scales as `search` finds them.
absl::StatusOr<train::QuantizedMatrices> planned_matrices(const format::Checkpoint& input,
                                                          const std::vector<PlannedTensor>& plan,
                                                          grid::ScaleSearch search,
                                                          const layerwise::LayerStore& store);

// Writes exact codes of planned tensors and the bytes of all others as they are, holding one tensor
// at a time: codes from `tuned` (planned_matrices, whose scales changed), or, where that is null,
// from the layer store. `search`: as above; `activations`: of the layers' matrices.
absl::Status write_quantized(const format::Checkpoint& input,
                             const std::vector<PlannedTensor>& plan, grid::ScaleSearch search,
                             format::Activations activations, const layerwise::LayerStore& store,
                             const train::QuantizedMatrices* tuned,
                             const std::filesystem::path& folder);

// Table `layer_error` and the step's statistics, from the stored records.
absl::Status report_quantized(pass::RunContext& context, const std::vector<PlannedTensor>& plan,
                              bool keeps_zeros, const layerwise::LayerStore& store);

}  // namespace frugal::passes
