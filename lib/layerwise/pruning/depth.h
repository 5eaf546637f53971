// Depth: which layers change the residual stream least (block influence, Men et al. 2024).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "base/status.h"

namespace frugal::layerwise {

// 1 − E cos(h, h') over tokens, h before and h' behind a layer; chunks [.., C], any float type. 0:
// the layer changes nothing but lengths. Token by token in fp64 sums (ShortGPT, arXiv 2403.03853).
// A token with a zero vector on either side counts as turned by a right angle.
double block_influence(const std::vector<at::Tensor>& before, const std::vector<at::Tensor>& after);

struct DepthOptions {
  int64_t drop = 0;
  int64_t protect_first = 1;  // layers that never go
  int64_t protect_last = 1;
};

// The layers to keep, ascending: without the `drop` of lowest influence (ties: the higher index
// goes). Errors: more to drop than is unprotected.
absl::StatusOr<std::vector<int64_t>> layers_to_keep(const std::vector<double>& influence,
                                                    const DepthOptions& options);

}  // namespace frugal::layerwise
