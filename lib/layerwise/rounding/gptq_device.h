// The column sweep with its matrices on a CUDA device: windows by our kernel, the columns behind
// them by one product of LibTorch.
#pragma once

#include <ATen/core/Tensor.h>

#include "grid/grid.h"
#include "kernels/cuda/module.h"
#include "layerwise/rounding/factor.h"

namespace frugal::layerwise {

// Rounds `target` [R, in] fp32 contiguous, on the device of the module (`importance` and `factor`
// are brought there). `matrix`: its parameters are read where `dynamic` is false; codes and
// parameters are written. Returns the sum of squared errors, tr(ΔW (H + λI) ΔWᵀ). The order of
// additions is that of the CPU's sweep inside a window; between windows it is the device's matrix
// product's, so that codes may differ from the CPU's where a weight lies within fp32 rounding of
// the middle between two levels. Throws.
double sweep_on_device(const at::Tensor& target, const at::Tensor& importance, const Factor& factor,
                       grid::QuantizedMatrix& matrix, bool dynamic, const FrugalCudaModule& module);

}  // namespace frugal::layerwise
