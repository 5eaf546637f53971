// Tested by: tests/layerwise/output_gradients_test.cpp
#include "layerwise/walk/layer_gradients.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <optional>
#include <utility>

#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using torch::autograd::variable_list;

at::Tensor flat(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}); }

at::Tensor leaf(const at::Tensor& x) { return x.detach().requires_grad_(); }

// What one stage made of its outputs, with the graph.
struct Piece {
  at::Tensor residual;       // leaf: in front of the stage's end
  variable_list outputs;     // leaves
  model::LayerState behind;  // residual and input of the next stage
};

// Gradients by what a piece hands on.
struct Arriving {
  at::Tensor residual;
  at::Tensor input;            // of the next stage, where all tokens go there
  at::Tensor normed, weights;  // of what experts read, and of the router's weights
};

// The experts of a layer, between leaves.
struct ExpertPieces {
  at::Tensor residual;             // leaf
  model::Routing routing;          // normed and weights are leaves
  std::vector<variable_list> ins;  // by expert: leaves of gate and up
  variable_list neurons;           // by expert, with the graph
  variable_list outs;              // leaves of down, by expert
  at::Tensor mixed;                // the layer's output, with the graph
};

class LayerBackward {
 public:
  LayerBackward(const model::LayerRunner& runner, int64_t layer, const LayerProducts& products,
                const model::AttentionContexts& contexts)
      : runner_(runner), layer_(layer), products_(products), contexts_(contexts) {
    const auto& experts = runner.config().layers.at(static_cast<size_t>(layer)).experts;
    experts_ = experts ? experts->count : 0;
  }

  WindowGradients run(const at::Tensor& input, const at::Tensor& gradient) const {
    const size_t count = products_.forward.size();
    const size_t plain = experts_ > 0 ? architecture::kAttentionStages : count;
    const at::Tensor x = leaf(input);
    model::LayerState state;
    {
      const at::AutoGradMode with_gradients(true);
      state = runner_.begin(layer_, x, products_.small);
    }
    const model::LayerState first = state;
    std::vector<Piece> pieces(plain);
    for (size_t stage = 0; stage < plain; ++stage) {
      forward(state, stage, pieces[stage]);
      state = pieces[stage].behind;
    }
    WindowGradients result;
    result.outputs.resize(count);
    Arriving arriving{.residual = gradient};
    if (experts_ > 0) arriving = through_experts(state, gradient, result);
    for (size_t stage = plain; stage-- > 0;) {
      const Piece& piece = pieces[stage];
      variable_list found = through(piece.behind, arriving, piece.residual, piece.outputs);
      arriving = {.residual = found.back()};
      found.pop_back();
      for (const at::Tensor& by_output : found) result.outputs[stage].push_back(flat(by_output));
      arriving.input = products_.backward[stage].apply(tensor::concatenate(found, -1)).at(0);
    }
    result.input = through(first, arriving, x, {}).back();
    return result;
  }

 private:
  void forward(const model::LayerState& state, size_t stage, Piece& piece) const {
    piece.residual = leaf(state.residual);
    for (const at::Tensor& output : products_.forward[stage].apply(state.input.rows.detach()))
      piece.outputs.push_back(leaf(output));
    piece.behind = {piece.residual, {}};
    const at::AutoGradMode with_gradients(true);
    runner_.advance(piece.behind, {layer_, stage}, piece.outputs, products_.small, contexts_);
  }

  // From gradients by what a state hands on to those by `outputs` and, last, by `residual`, of
  // which it was made.
  static variable_list through(const model::LayerState& state, const Arriving& arriving,
                               const at::Tensor& residual, variable_list outputs) {
    variable_list ends, gradients;
    const auto add = [&](const at::Tensor& end, const at::Tensor& gradient) {
      if (!gradient.defined()) return;
      ends.push_back(end);
      gradients.push_back(gradient);
    };
    const bool passes = state.residual.is_same(residual);  // handed on as it was
    if (!passes) add(state.residual, arriving.residual);
    add(state.input.rows, arriving.input);
    add(state.routing.normed, arriving.normed);
    add(state.routing.weights, arriving.weights);
    outputs.push_back(residual);
    variable_list found = torch::autograd::grad(ends, outputs, gradients, std::nullopt, false,
                                                /*allow_unused=*/true);
    if (passes) {
      found.back() = found.back().defined() ? found.back() + arriving.residual : arriving.residual;
    }
    return found;
  }

  static size_t in_stage(int64_t expert) {
    return architecture::kAttentionStages + 2 * static_cast<size_t>(expert);
  }

  ExpertPieces forward_experts(const model::LayerState& state) const {
    ExpertPieces pieces{.residual = leaf(state.residual), .routing = state.routing};
    pieces.routing.normed = leaf(state.routing.normed);
    pieces.routing.weights = leaf(state.routing.weights);
    model::LayerState last{pieces.residual, {}, pieces.routing};
    for (int64_t e = 0; e < experts_; ++e) {
      const size_t in = in_stage(e);
      model::LayerState own{.residual = {}, .input = pieces.routing.input_of(e)};
      own.input.rows = own.input.rows.detach();
      variable_list& outputs = pieces.ins.emplace_back();
      for (const at::Tensor& output : products_.forward[in].apply(own.input.rows))
        outputs.push_back(leaf(output));
      const at::AutoGradMode with_gradients(true);
      runner_.advance(own, {layer_, in, e}, outputs, products_.small, contexts_);
      pieces.neurons.push_back(own.input.rows);
      pieces.outs.push_back(leaf(products_.forward[in + 1].apply(own.input.rows.detach()).at(0)));
      runner_.advance(last, {layer_, in + 1, e}, {pieces.outs.back()}, products_.small, contexts_);
    }
    pieces.mixed = last.residual;
    return pieces;
  }

  Arriving through_experts(const model::LayerState& state, const at::Tensor& gradient,
                           WindowGradients& result) const {
    const ExpertPieces pieces = forward_experts(state);
    variable_list sources = pieces.outs;
    sources.push_back(pieces.routing.weights);
    sources.push_back(pieces.residual);
    const variable_list found = torch::autograd::grad({pieces.mixed}, sources, {gradient});
    Arriving arriving{.residual = found.back()};
    arriving.weights = found[found.size() - 2];
    const at::Tensor by_normed = at::zeros_like(flat(pieces.routing.normed.detach()));
    for (int64_t e = 0; e < experts_; ++e) {
      const size_t in = in_stage(e);
      const auto at = static_cast<size_t>(e);
      result.outputs[in + 1].push_back(found[at]);
      const at::Tensor by_neurons = products_.backward[in + 1].apply(found[at]).at(0);
      result.outputs[in] =
          torch::autograd::grad({pieces.neurons[at]}, pieces.ins[at], {by_neurons});
      const at::Tensor by_rows =
          products_.backward[in].apply(tensor::concatenate(result.outputs[in], -1)).at(0);
      by_normed.index_add_(0, pieces.routing.input_of(e).tokens, by_rows);
    }
    arriving.normed = by_normed.view(pieces.routing.normed.sizes());
    return arriving;
  }

  const model::LayerRunner& runner_;
  const int64_t layer_;
  const LayerProducts& products_;
  const model::AttentionContexts& contexts_;
  int64_t experts_ = 0;
};

}  // namespace

WindowGradients window_gradients(const model::LayerRunner& runner, int64_t layer,
                                 const LayerProducts& products,
                                 const model::AttentionContexts& contexts, const at::Tensor& input,
                                 const at::Tensor& gradient) {
  return LayerBackward(runner, layer, products, contexts).run(input, gradient);
}

}  // namespace frugal::layerwise
