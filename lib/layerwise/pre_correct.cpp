#include "layerwise/pre_correct.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "layerwise/tiles.h"

namespace frugal::layerwise {
namespace {

// By rows first: one sum over everything would depend on the number of threads.
double total(const at::Tensor& a, const at::Tensor& b) {
  return a.mul(b).sum(1).sum().item<double>();
}

// The minimum of ½xᵀMx − vᵀx over the unit square, M = [aa ab; ab bb] positive semidefinite.
Asymmetry least_in_square(double aa, double ab, double bb, double va, double vb) {
  const auto best = [](double curvature, double slope) {
    return curvature > 0 ? std::clamp(slope / curvature, 0.0, 1.0) : 0.0;
  };
  const double determinant = aa * bb - ab * ab;
  if (determinant > 1e-12 * aa * bb) {
    const double a = (va * bb - vb * ab) / determinant, b = (vb * aa - va * ab) / determinant;
    if (a >= 0 && a <= 1 && b >= 0 && b <= 1) return {a, b};
  }
  // On an edge: with one of them fixed the other has its own optimum.
  Asymmetry result;
  double lowest = 0;  // (0, 0)
  const auto consider = [&](double a, double b) {
    const double value = 0.5 * (aa * a * a + 2 * ab * a * b + bb * b * b) - va * a - vb * b;
    if (value < lowest) {
      lowest = value;
      result = {a, b};
    }
  };
  for (const double fixed : {0.0, 1.0}) {
    consider(fixed, best(bb, vb - ab * fixed));
    consider(best(aa, va - ab * fixed), fixed);
  }
  return result;
}

}  // namespace

Correction corrections(const at::Tensor& weights, const Drift& drift, const Factor& factor) {
  const at::Device device = factor.upper.device();
  Correction result;
  if (drift.input.defined()) {
    const at::Tensor w = weights.to(device, at::kDouble);
    result.input = multiply_inverse(matrix_product(w, drift.input.to(device)), factor);
  }
  if (drift.residual.defined())
    result.residual = multiply_inverse(drift.residual.to(device), factor);
  return result;
}

at::Tensor pre_correct(const at::Tensor& weights, const Correction& correction,
                       const Asymmetry& asymmetry) {
  const at::Device device = correction.input.defined() ? correction.input.device()
                            : correction.residual.defined() ? correction.residual.device()
                                                            : weights.device();
  at::Tensor result = weights.to(device, at::kDouble, /*non_blocking=*/false, /*copy=*/true);
  if (correction.input.defined()) result.add_(correction.input, asymmetry.alpha);
  if (correction.residual.defined()) result.add_(correction.residual, asymmetry.beta);
  return result.to(at::kFloat);
}

Asymmetry choose_asymmetry(const at::Tensor& weights, const Correction& correction,
                           const at::Tensor& held_out_hessian, const Drift& held_out_drift) {
  const at::Tensor &a = correction.input, &b = correction.residual;
  if (!a.defined()) return {};
  const at::Device device = a.device();
  const at::Tensor hessian = held_out_hessian.to(device);
  at::Tensor goal =
      matrix_product(weights.to(device, at::kDouble), held_out_drift.input.to(device));
  const at::Tensor ah = matrix_product(a, hessian);
  if (!b.defined()) return least_in_square(total(ah, a), 0, 0, total(a, goal), 0);
  goal.add_(held_out_drift.residual.to(device));
  const at::Tensor bh = matrix_product(b, hessian);
  return least_in_square(total(ah, a), total(ah, b), total(bh, b), total(a, goal), total(b, goal));
}

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
