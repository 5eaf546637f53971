// What every expert of a layer makes of all tokens, whoever they were sent to.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "format/checkpoint.h"
#include "layerwise/walk/walk.h"
#include "model/products.h"

namespace frugal::layerwise {

// Of one expert, fp32 on the CPU; F neurons, C channels.
struct ExpertMatrices {
  at::Tensor gate;  // [F, C]
  at::Tensor up;    // [F, C]
  at::Tensor down;  // [C, F]
};

// Errors: those of loading.
absl::StatusOr<ExpertMatrices> load_expert(const format::Checkpoint& checkpoint, int64_t layer,
                                           int64_t expert);

// The neurons [n, F] of an expert with gate and up in `product`, for rows [n, C] of its input.
at::Tensor expert_neurons(const LayerExperts& experts, const model::StageProduct& product,
                          const at::Tensor& rows);
// Gate and up of an expert, and its down, made ready for expert_neurons() and their outputs.
model::StageProduct first_product(const ExpertMatrices& matrices, model::Precision precision);
model::StageProduct second_product(const ExpertMatrices& matrices, model::Precision precision);

// Chunk by chunk [E, tokens, C] fp32 on the CPU: 4 E C bytes for each token. One expert's matrices
// are in memory at a time. Errors: those of loading.
absl::StatusOr<std::vector<at::Tensor>> all_expert_outputs(const format::Checkpoint& checkpoint,
                                                           const LayerExperts& experts,
                                                           model::Precision precision);

}  // namespace frugal::layerwise
