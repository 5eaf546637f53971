// The asymmetric target (recipe P step 1, rounding.md): weights that, fed with the changed prefix's
// input X, best reproduce what the original model computes from its own input X̃.
//
//   W* = W + [α W (X̃ − X) + β (r̃ − r)] Xᵀ/T · (H + λI)⁻¹
//
// β counts only for stages that write the residual stream. With α = 1, β = 0 and λ → 0, W*
// minimizes ‖W*X − WX̃‖².
#pragma once

#include <ATen/core/Tensor.h>

#include "layerwise/factor.h"
#include "layerwise/statistics.h"

namespace frugal::layerwise {

struct Asymmetry {
  double alpha = 0;  // share of the input drift that is made up for
  double beta = 0;   // share of the residual stream's drift
  bool active() const { return alpha != 0 || beta != 0; }
};

// W* [R, in] fp32 on the factor's device for `weights` [R, in]. Uses the parts of `drift` that are defined.
at::Tensor pre_correct(const at::Tensor& weights, const Drift& drift, const Factor& factor,
                       const Asymmetry& asymmetry);

}  // namespace frugal::layerwise
