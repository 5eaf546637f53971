// Root-mean-square norm (Zhang & Sennrich 2019) and LayerNorm (Ba et al. 2016).
#pragma once

#include <ATen/core/Tensor.h>

namespace frugal::model {

// x [.., C] / sqrt(mean(x^2) + epsilon) * weight [C]; computed in fp32, result in x's type.
// Differentiable.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

// (x - mean(x)) [.., C] / sqrt(variance(x) + epsilon) * weight [C] + bias [C]; likewise.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double epsilon);

}  // namespace frugal::model
