// x Wᵀ with the factors of its products rounded (layerwise/products.h, Precision::kRounded),
// forward and backward: for training, whose gradients are noisier than that.
#pragma once

#include <ATen/core/Tensor.h>

namespace frugal::train {

// x [.., in] fp32, weight [out, in] fp32; [.., out] fp32. Differentiable by both.
at::Tensor rounded_linear(const at::Tensor& x, const at::Tensor& weight);

}  // namespace frugal::train
