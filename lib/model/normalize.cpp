#include "model/normalize.h"

#include <ATen/ATen.h>

namespace frugal::model {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor scale = wide.square().mean(-1, /*keepdim=*/true).add_(epsilon).rsqrt_();
  return (wide * scale * weight).to(x.scalar_type());
}

}  // namespace frugal::model
