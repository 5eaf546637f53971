#include "layerwise/walk/streams.h"

#include <ATen/core/grad_mode.h>

#include "model/integer_linear.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {

void StreamRunner::for_each_chunk(size_t count, const std::function<void(size_t)>& body,
                                  const std::function<void(size_t)>& prefetch) const {
  if (device_.is_cpu()) {
    tensor::for_each_tile(static_cast<int64_t>(count),
                          [&](int64_t i) { body(static_cast<size_t>(i)); });
    return;
  }
  const at::NoGradGuard no_grad;  // one queue of work: threads would only take turns
  for (size_t i = 0; i < count; ++i) {
    if (i + 1 < count) prefetch(i + 1);
    body(i);
  }
}

void StreamRunner::keep(model::LayerState& state) const {
  state.residual = store_.keep(state.residual);
  state.input.rows = store_.keep(state.input.rows);
  evict(state);
}

void StreamRunner::evict(const model::LayerState& state) const {
  store_.evict(state.residual);
  store_.evict(state.input.rows);
}

void StreamRunner::begin(Stream& stream, int64_t layer, const model::LayerParameters& small) const {
  stream.states.assign(stream.layer_inputs.size(), {});
  for_each_chunk(
      stream.states.size(),
      [&](size_t i) {
        const at::Tensor& kept = stream.layer_inputs[i];
        const at::Tensor x = store_.fetch(kept);
        model::LayerState& state = stream.states[i] = runner_->begin(layer, x, small);
        if (state.residual.is_same(x)) state.residual = kept;
        keep(state);
      },
      [&](size_t i) { store_.prefetch(stream.layer_inputs[i]); });
}

void StreamRunner::round_inputs(Stream& stream) const {
  for_each_chunk(
      stream.states.size(),
      [&](size_t i) {
        at::Tensor& input = stream.states[i].input.rows;
        input = store_.keep(model::restore_rows(model::round_rows(store_.fetch(input))));
        store_.evict(input);
      },
      [&](size_t i) { store_.prefetch(stream.states[i].input.rows); });
}

void StreamRunner::advance(Stream& stream, const architecture::StageRef& at,
                           const model::StageProduct& product, const model::LayerParameters& small,
                           const model::AttentionContexts& contexts) const {
  for_each_chunk(
      stream.states.size(),
      [&](size_t i) {
        const at::Tensor kept = stream.states[i].residual;
        model::LayerState& state = stream.states[i];
        state = {store_.fetch(state.residual),
                 {store_.fetch(state.input.rows), state.input.tokens}};
        const at::Tensor residual = state.residual;
        runner_->advance(state, at, product.apply(state.input.rows), small, contexts);
        if (state.residual.is_same(residual)) state.residual = kept;
        keep(state);
      },
      [&](size_t i) {
        store_.prefetch(stream.states[i].residual);
        store_.prefetch(stream.states[i].input.rows);
      });
}

void StreamRunner::end(Stream& stream) {
  stream.layer_inputs.clear();
  for (const model::LayerState& state : stream.states)
    stream.layer_inputs.push_back(state.residual);
  stream.states.clear();
}

}  // namespace frugal::layerwise
