#include "layerwise/walk/streams.h"

#include <ATen/core/grad_mode.h>

#include "model/integer_linear.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

// What of a state is as large as the activations themselves.
template <typename State, typename Body>
void for_each_tensor(State& state, const Body& body) {
  body(state.residual);
  body(state.input.rows);
  if (!state.routing.is_there()) return;
  body(state.routing.normed);
  for (auto& output : state.routing.outputs) body(output);
}

}  // namespace

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
  for_each_tensor(state, [&](at::Tensor& tensor) { tensor = store_.keep(tensor); });
  evict(state);
}

void StreamRunner::evict(const model::LayerState& state) const {
  for_each_tensor(state, [&](const at::Tensor& tensor) { store_.evict(tensor); });
}

void StreamRunner::prefetch(const model::LayerState& state) const {
  for_each_tensor(state, [&](const at::Tensor& tensor) { store_.prefetch(tensor); });
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
        for_each_tensor(state, [&](at::Tensor& tensor) { tensor = store_.fetch(tensor); });
        const at::Tensor residual = state.residual;
        runner_->advance(state, at, product.apply(state.input.rows), small, contexts);
        if (state.residual.is_same(residual)) state.residual = kept;
        keep(state);
      },
      [&](size_t i) { prefetch(stream.states[i]); });
}

void StreamRunner::end(Stream& stream) {
  stream.layer_inputs.clear();
  for (const model::LayerState& state : stream.states)
    stream.layer_inputs.push_back(state.residual);
  stream.states.clear();
}

}  // namespace frugal::layerwise
