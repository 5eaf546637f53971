// How far the activations of a changed model have drifted from the original's, summed chunk by
// chunk.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "layerwise/walk/statistics.h"
#include "layerwise/walk/walk.h"
#include "model/products.h"

namespace frugal::layerwise {

class DriftSum {
 public:
  // Of a stage with `weights` [R, in], whose product with inputs is `product`; both outlive the
  // sum. `residual`: of the residual stream, too. `device` is the one that multiplies.
  DriftSum(const at::Tensor& weights, DriftForm form, bool residual,
           const model::StageProduct& product, const at::Device& device);

  // Inputs [tokens, in] of the original model and of the changed one; `factor` is that of `x`.
  void add_input(const at::Tensor& original, const at::Tensor& x, const model::TokenFactor& factor);
  // The residual stream [tokens, R] that the stage writes, likewise.
  void add_residual(const at::Tensor& original, const at::Tensor& now,
                    const model::TokenFactor& factor);

  // Means over `tokens`; zeros where nothing was added.
  Drift take(int64_t tokens);

 private:
  const at::Tensor& weights_;
  const model::StageProduct& product_;
  at::Device device_;
  DriftForm form_;
  bool residual_wanted_, through_outputs_;
  model::ProductSum input_{false}, output_{false}, residual_{false};
};

}  // namespace frugal::layerwise
