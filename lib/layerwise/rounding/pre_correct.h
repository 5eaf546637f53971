// The drift-corrected target (after GPTAQ, arXiv 2504.02692): weights that, fed with the
// changed prefix's input X, best reproduce what the original model computes from its own input X̃.
//
//   W* = W + [α W (X̃ − X) + β (r̃ − r)] Xᵀ/T · (H + λI)⁻¹
//
// β counts only for stages that write the residual stream. With α = 1, β = 0 and λ → 0, W*
// minimizes ‖W*X − WX̃‖².
#pragma once

#include <ATen/core/Tensor.h>

#include "layerwise/rounding/factor.h"
#include "layerwise/walk/statistics.h"

namespace frugal::layerwise {

struct DriftStrength {
  double alpha = 0;  // share of the input drift that is made up for
  double beta = 0;   // share of the residual stream's drift
  bool active() const { return alpha != 0 || beta != 0; }
};

// The two parts of the correction, [R, in] fp64: W* = W + α input + β residual. Undefined where the
// drift is.
struct Correction {
  at::Tensor input;
  at::Tensor residual;
};
Correction corrections(const at::Tensor& weights, const Drift& drift, const Factor& factor);

// W* [R, in] fp32 on the factor's device for `weights` [R, in], by the parts of the correction or
// of the drift that are defined.
at::Tensor pre_correct(const at::Tensor& weights, const Correction& correction,
                       const DriftStrength& drift_strength);
at::Tensor pre_correct(const at::Tensor& weights, const Drift& drift, const Factor& factor,
                       const DriftStrength& drift_strength);

// The strengths in [0, 1] that minimize ‖W*X − WX̃ − (r̃ − r)‖² over windows which the correction has
// not seen, in closed form: a correction estimated from few tokens is partly noise and deserves
// less than its full strength. Rounding adds an error that hardly depends on them. With A, B the
// parts of the correction and G = W D' + R' the held-out drift: [AH'Aᵀ AH'Bᵀ; · BH'Bᵀ](α, β) =
// (AGᵀ, BGᵀ).
DriftStrength choose_drift_strength(const at::Tensor& weights, const Correction& correction,
                                    const at::Tensor& held_out_hessian,
                                    const Drift& held_out_drift);

}  // namespace frugal::layerwise
