// Channels of the residual stream: which to keep, and what a model without the others is.
//
// Removing the channels R of d means: columns R of the embedding, rows R of the matrices that write
// the stream and columns R of those that read it go. With zeros in their place instead, x_R = 0
// everywhere, and the full-width model computes the same: its norms divide by
//   √(Σ x²/d + ε) = √(d'/d) · √(Σ x²/d' + ε d/d'),   d' = d − |R|,
// so that the narrow model's gains are γ √(d/d') and its epsilon ε d/d'.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "architecture/model_config.h"

namespace frugal::layerwise {

// What a matrix W [rows, d] that reads the stream with H [d, d] (fp64) loses with each channel,
// ‖w_j‖² H_jj, as a share of its output's energy tr(W H Wᵀ): [d] fp64; zeros where the output is
// zero. (Divided by ((H + λI)⁻¹)_jj instead, as if the others made up for it, the scores of many
// channels add up badly: those that can stand in for each other go together.)
at::Tensor channel_costs(const at::Tensor& weights, const at::Tensor& hessian);

// The channels that are not in `kept` (ascending), of `count`.
std::vector<int64_t> other_channels(const std::vector<int64_t>& kept, int64_t count);

// The config of the model that keeps `channels`, and what its norms' gains are multiplied with.
architecture::ModelConfig with_channels(architecture::ModelConfig config, int64_t channels);
double gain_factor(int64_t channels_before, int64_t channels);

}  // namespace frugal::layerwise
