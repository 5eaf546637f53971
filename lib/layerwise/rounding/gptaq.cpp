#include "layerwise/rounding/gptaq.h"

#include <utility>

#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

// (I − P)⁻¹, unit upper triangular.
at::Tensor accumulation(const at::Tensor& p) {
  const at::Tensor lower = (at::eye(p.size(0), p.options()) - p).t().contiguous();
  const at::Tensor inverse = lower.is_cpu() ? invert_lower(lower) : invert_lower_whole(lower);
  return inverse.t().contiguous();
}

}  // namespace

at::Tensor gptaq_correction(const at::Tensor& input_drift, const Factor& factor, double alpha) {
  const at::Tensor drift = input_drift.to(factor.upper.device())
                               .index_select(0, factor.order)
                               .index_select(1, factor.order);
  const at::Tensor projected = tensor::matrix_product(drift, factor.upper.t().contiguous());
  return tensor::matrix_product(projected.triu(1), factor.upper).mul_(alpha).triu(1);
}

GptqResult gptaq(const at::Tensor& weights, const at::Tensor& goal, const at::Tensor& input_drift,
                 double alpha, const at::Tensor& importance, const Factor& factor,
                 std::shared_ptr<const grid::Grid> grid, const GptqOptions& options) {
  TORCH_CHECK(weights.dim() == 2 && weights.scalar_type() == at::kFloat &&
                  goal.sizes() == weights.sizes() && input_drift.sizes() == factor.upper.sizes() &&
                  weights.size(1) == input_drift.size(1),
              "weights must be fp32 [R, in], found ", weights.sizes(), "; the goal ", goal.sizes(),
              ", the drift ", input_drift.sizes(), ", the factor ", factor.upper.sizes());
  const at::Tensor p = gptaq_correction(input_drift, factor, alpha);
  const at::Tensor gathered = accumulation(p);
  Factor sweep = factor;
  sweep.upper = tensor::matrix_product(factor.upper.triu(1), gathered);
  sweep.upper.diagonal().copy_(factor.upper.diagonal());
  const at::Tensor ordered =
      weights.to(gathered.device(), at::kDouble).index_select(1, factor.order);
  const at::Tensor swept = at::empty_like(weights, gathered.device());
  swept.index_copy_(1, factor.order, tensor::matrix_product(ordered, gathered).to(at::kFloat));
  GptqOptions only_sweep = options;
  only_sweep.sweeps = only_sweep.refits = 0;
  GptqResult result = gptq(swept, importance, sweep, std::move(grid), only_sweep);
  result.sweep_objective = output_error(decode(result.matrix), goal, factor.damped.cpu()).squared;
  result.objective = result.sweep_objective;
  if (options.sweeps > 0 || options.refits > 0)
    result.objective = refine_codes(goal, factor, options, result.matrix);
  return result;
}

}  // namespace frugal::layerwise
