#include "layerwise/rounding/pre_correct.h"

#include <algorithm>

#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

// By rows first: one sum over everything would depend on the number of threads.
double total(const at::Tensor& a, const at::Tensor& b) {
  return a.mul(b).sum(1, false, at::kDouble).sum().item<double>();
}

// The minimum of ½xᵀMx − vᵀx over the unit square, M = [aa ab; ab bb] positive semidefinite.
DriftStrength least_in_square(double aa, double ab, double bb, double va, double vb) {
  const auto best = [](double curvature, double slope) {
    return curvature > 0 ? std::clamp(slope / curvature, 0.0, 1.0) : 0.0;
  };
  const double determinant = aa * bb - ab * ab;
  if (determinant > 1e-12 * aa * bb) {
    const double a = (va * bb - vb * ab) / determinant, b = (vb * aa - va * ab) / determinant;
    if (a >= 0 && a <= 1 && b >= 0 && b <= 1) return {a, b};
  }
  // On an edge: with one of them fixed the other has its own optimum.
  DriftStrength result;
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

namespace {

// W (X̃ − X)ᵀ X / tokens [R, in] in whichever form the drift is there; undefined without one.
at::Tensor output_drift(const at::Tensor& weights, const Drift& drift, at::Device device) {
  if (drift.output.defined()) return drift.output.to(device);
  if (!drift.input.defined()) return {};
  return tensor::matrix_product(weights.to(device, at::kDouble), drift.input.to(device));
}

}  // namespace

Correction corrections(const at::Tensor& weights, const Drift& drift, const Factor& factor) {
  const at::Device device = factor.upper.device();
  Correction result;
  const at::Tensor output = output_drift(weights, drift, device);
  if (output.defined()) result.input = multiply_inverse(output, factor);
  if (drift.residual.defined())
    result.residual = multiply_inverse(drift.residual.to(device), factor);
  return result;
}

at::Tensor pre_correct(const at::Tensor& weights, const Correction& correction,
                       const DriftStrength& drift_strength) {
  const at::Device device = correction.input.defined()      ? correction.input.device()
                            : correction.residual.defined() ? correction.residual.device()
                                                            : weights.device();
  at::Tensor result = weights.to(device, at::kDouble, /*non_blocking=*/false, /*copy=*/true);
  if (correction.input.defined()) result.add_(correction.input, drift_strength.alpha);
  if (correction.residual.defined()) result.add_(correction.residual, drift_strength.beta);
  return result.to(at::kFloat);
}

DriftStrength choose_drift_strength(const at::Tensor& weights, const Correction& correction,
                                    const at::Tensor& held_out_hessian,
                                    const Drift& held_out_drift) {
  if (!correction.input.defined()) return {};
  const at::Device device = correction.input.device();
  // fp32 products: the strengths are shares, known to a few digits at best.
  const at::Tensor a = correction.input.to(at::kFloat);
  const at::Tensor hessian = held_out_hessian.to(device, at::kFloat);
  at::Tensor goal = output_drift(weights, held_out_drift, device).to(at::kFloat);
  const at::Tensor ah = tensor::matrix_product(a, hessian);
  if (!correction.residual.defined()) return least_in_square(total(ah, a), 0, 0, total(a, goal), 0);
  const at::Tensor b = correction.residual.to(at::kFloat);
  goal = goal + held_out_drift.residual.to(device, at::kFloat);
  const at::Tensor bh = tensor::matrix_product(b, hessian);
  return least_in_square(total(ah, a), total(ah, b), total(bh, b), total(a, goal), total(b, goal));
}

at::Tensor pre_correct(const at::Tensor& weights, const Drift& drift, const Factor& factor,
                       const DriftStrength& drift_strength) {
  const at::Device device = factor.upper.device();
  at::Tensor moment;  // the bracket times Xᵀ/T
  if (drift_strength.alpha != 0) {
    moment = output_drift(weights, drift, device);
    if (moment.defined()) moment = moment * drift_strength.alpha;
  }
  if (drift_strength.beta != 0 && drift.residual.defined()) {
    const at::Tensor residual = drift.residual.to(device) * drift_strength.beta;
    moment = moment.defined() ? moment.add_(residual) : residual;
  }
  if (!moment.defined()) return weights.to(device, at::kFloat);
  return (weights.to(device, at::kDouble) + multiply_inverse(moment, factor)).to(at::kFloat);
}

}  // namespace frugal::layerwise
