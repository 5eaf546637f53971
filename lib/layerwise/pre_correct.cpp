#include "layerwise/pre_correct.h"

#include <ATen/ATen.h>

#include "layerwise/tiles.h"

namespace frugal::layerwise {

at::Tensor pre_correct(const at::Tensor& weights, const Drift& drift, const Factor& factor,
                       const Asymmetry& asymmetry) {
  const at::Device device = factor.upper.device();
  const at::Tensor w = weights.to(device, at::kDouble);
  at::Tensor moment;  // the bracket times Xᵀ/T
  if (asymmetry.alpha != 0 && drift.input.defined()) {
    moment = matrix_product(w, drift.input.to(device)).mul_(asymmetry.alpha);
  }
  if (asymmetry.beta != 0 && drift.residual.defined()) {
    const at::Tensor residual = drift.residual.to(device) * asymmetry.beta;
    moment = moment.defined() ? moment.add_(residual) : residual;
  }
  if (!moment.defined()) return weights.to(device, at::kFloat);
  return (w + multiply_inverse(moment, factor)).to(at::kFloat);
}

}  // namespace frugal::layerwise
