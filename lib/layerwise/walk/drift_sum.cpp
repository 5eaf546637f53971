#include "layerwise/walk/drift_sum.h"

#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {

DriftSum::DriftSum(const at::Tensor& weights, DriftForm form, bool residual,
                   const model::StageProduct& product, const at::Device& device)
    : weights_(weights),
      product_(product),
      device_(device),
      form_(form),
      residual_wanted_(residual),
      // Two products of R · in instead of one of in · in.
      through_outputs_(form == DriftForm::kOutputs && 2 * weights.size(0) < weights.size(1)) {}

void DriftSum::add_input(const model::StageInput& original, const model::StageInput& x,
                         const model::TokenFactor& factor) {
  if (model::same_tokens(original, x)) return add_rows(original.matrix(), x.matrix(), factor);
  const model::SharedRows rows = model::shared_rows(original, x);
  if (rows.second.size(0) == 0) return;
  add_rows(rows.first, rows.second, model::TokenFactor(rows.second, factor.precision()));
}

void DriftSum::add_rows(const at::Tensor& original, const at::Tensor& x,
                        const model::TokenFactor& factor) {
  if (!through_outputs_)
    return input_.add(model::TokenFactor(original, factor.precision(), x), factor);
  const at::Tensor outputs = tensor::concatenate(product_.apply(original - x), -1);
  output_.add(model::TokenFactor(outputs, factor.precision()), factor);
}

void DriftSum::add_residual(const at::Tensor& original, const at::Tensor& now,
                            const model::TokenFactor& factor) {
  residual_.add(model::TokenFactor(original, factor.precision(), now), factor);
}

Drift DriftSum::take(int64_t tokens) {
  const auto mean = [&](at::Tensor sum, int64_t rows) {
    return sum.defined() ? sum.div_(static_cast<double>(tokens))
                         : at::zeros({rows, weights_.size(1)}, at::kDouble);
  };
  Drift drift;
  if (residual_wanted_) drift.residual = mean(residual_.take(), weights_.size(0));
  if (through_outputs_) {
    drift.output = mean(output_.take(), weights_.size(0));
    return drift;
  }
  drift.input = mean(input_.take(), weights_.size(1));
  if (form_ == DriftForm::kInputs) return drift;
  const at::Tensor weights = weights_.to(device_, at::kDouble);
  drift.output = tensor::matrix_product(weights, drift.input.to(device_)).cpu();
  drift.input = at::Tensor();
  return drift;
}

}  // namespace frugal::layerwise
