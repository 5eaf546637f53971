// How far the activations of a changed model have drifted from the original's, summed chunk by
// chunk.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "layerwise/walk/statistics.h"
#include "layerwise/walk/walk.h"
#include "model/products.h"
#include "model/stage_input.h"

namespace frugal::layerwise {

class DriftSum {
 public:
  // Of a stage with `weights` [R, in], whose product with inputs is `product`; both outlive the
  // sum. `residual`: of the residual stream, too. `device` is the one that multiplies.
  DriftSum(const at::Tensor& weights, DriftForm form, bool residual,
           const model::StageProduct& product, const at::Device& device);

  // Inputs of the original model and of the changed one; `factor` is that of all rows of `x`. A
  // token that reaches the stage in one of the models only has nothing to compare and adds nothing.
  void add_input(const model::StageInput& original, const model::StageInput& x,
                 const model::TokenFactor& factor);
  // The residual stream [tokens, R] that the stage writes, at the tokens of `x`.
  void add_residual(const at::Tensor& original, const at::Tensor& now,
                    const model::TokenFactor& factor);

  // Means over `tokens`; zeros where nothing was added.
  Drift take(int64_t tokens);

 private:
  void add_rows(const at::Tensor& original, const at::Tensor& x, const model::TokenFactor& factor);

  const at::Tensor& weights_;
  const model::StageProduct& product_;
  at::Device device_;
  DriftForm form_;
  bool residual_wanted_, through_outputs_;
  model::ProductSum input_{false}, output_{false}, residual_{false};
};

}  // namespace frugal::layerwise
