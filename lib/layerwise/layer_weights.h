// What a pass over the layers reads from the mapped checkpoint, one layer at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/checkpoint.h"
#include "layerwise/products.h"
#include "model/architecture.h"
#include "model/decoder.h"

namespace frugal::layerwise {

// Matrices that share an input.
struct StageWeights {
  std::vector<std::string> names;
  std::vector<int64_t> row_counts;
  at::Tensor stacked;  // [R, in] fp32 on the CPU
};

// Errors: those of loading.
absl::StatusOr<StageWeights> load_matrices(const format::Checkpoint& checkpoint,
                                           std::vector<std::string> names);
absl::StatusOr<StageWeights> load_stage(const format::Checkpoint& checkpoint, int64_t layer,
                                        const model::Stage& stage);

// Starts reading a stage's matrices from the disk, for a load_stage() to come.
void read_ahead(const format::Checkpoint& checkpoint, int64_t layer, const model::Stage& stage);

// Norm weights: what the config expects of this layer beside matrices. fp32.
absl::StatusOr<model::LayerParameters> load_small_parameters(const format::Checkpoint& checkpoint,
                                                             int64_t layer,
                                                             const at::Device& device);

// For windows of `length` tokens that each start at place 0. Throws.
model::AttentionContext window_context(const format::ModelConfig& config, int64_t length,
                                       const at::Device& device, Precision precision);

}  // namespace frugal::layerwise
