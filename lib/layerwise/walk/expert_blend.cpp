#include "layerwise/walk/expert_blend.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <utility>

#include "model/integer_linear.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

// (1 − μ) own + μ all, of what is there.
at::Tensor mixed(const at::Tensor& own, const at::Tensor& all, double share) {
  if (!own.defined()) return all;
  return all.defined() ? own.mul(1.0 - share).add_(all, share) : own;
}

}  // namespace

double blend_share(int64_t tokens, int64_t columns, double prior) {
  const double worth = prior * static_cast<double>(columns), own = static_cast<double>(tokens);
  return own < 2.0 * worth ? worth / (worth + own) : 0.0;
}

InputStatistics blended(InputStatistics own, const InputStatistics& all, double share) {
  if (share == 0) return own;
  InputStatistics result;
  result.tokens = own.tokens;
  result.blend = share;
  result.all_tokens = all.tokens;
  result.hessian = mixed(own.hessian, all.hessian, share);
  result.mean_square = mixed(own.mean_square, all.mean_square, share);
  result.mean_absolute = mixed(own.mean_absolute, all.mean_absolute, share);
  result.maximum_absolute = own.maximum_absolute.defined()
                                ? at::maximum(own.maximum_absolute, all.maximum_absolute)
                                : all.maximum_absolute;
  return result;
}

Drift blended(Drift own, double share) {
  if (share == 0) return own;
  for (at::Tensor* const part : {&own.input, &own.output, &own.residual}) {
    if (part->defined()) *part = part->mul(1.0 - share);
  }
  return own;
}

at::Tensor AllTokens::rounded(const at::Tensor& rows) const {
  if (options_.activations == format::Activations::kFloat) return rows;
  return model::restore_rows(model::round_rows(rows));
}

absl::StatusOr<InputStatistics> AllTokens::inputs(const Stream& stream, Needs needs,
                                                  std::string_view where) const {
  return gather(stream, needs, where, [](const at::Tensor& input) { return input; });
}

absl::StatusOr<InputStatistics> AllTokens::neurons(const Stream& stream, Needs needs,
                                                   std::string_view where,
                                                   const architecture::StageRef& at,
                                                   const model::StageProduct& product,
                                                   const model::LayerParameters& small,
                                                   const model::AttentionContexts& contexts) const {
  return gather(stream, needs, where, [&](const at::Tensor& input) {
    model::LayerState state{.residual = {}, .input = {input}};
    streams_.layer_runner().advance(state, at, product.apply(input), small, contexts);
    return rounded(state.input.rows);
  });
}

// Chunks are made by several threads, and added one after the other.
absl::StatusOr<InputStatistics> AllTokens::gather(const Stream& stream, Needs needs,
                                                  std::string_view where,
                                                  const MakeRows& make) const {
  StatisticsSum sum(needs);
  const size_t wave =
      options_.device.is_cpu() ? static_cast<size_t>(std::max(1, at::get_num_threads())) : 1;
  for (size_t begin = 0; begin < chunks_; begin += wave) {
    std::vector<at::Tensor> rows(std::min(wave, chunks_ - begin));
    tensor::for_each_tile(static_cast<int64_t>(rows.size()), [&](int64_t i) {
      const at::Tensor normed =
          store_.fetch(stream.states[begin + static_cast<size_t>(i)].routing.normed);
      rows[static_cast<size_t>(i)] = make(rounded(normed.reshape({-1, normed.size(-1)})));
    });
    for (size_t i = 0; i < rows.size(); ++i) {
      std::optional<model::TokenFactor> factor;
      if (needs == Needs::kHessian) factor.emplace(rows[i], options_.precision);
      sum.add(rows[i], factor ? &*factor : nullptr);
      streams_.evict(stream.states[begin + i]);
    }
  }
  return sum.take(where);
}

}  // namespace frugal::layerwise
