#include "layerwise/walk/layer_gradients.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "support/random_tensors.h"
#include "support/toy_mixture.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

LayerProducts products_of(const model::Decoder& decoder, int64_t layer) {
  LayerProducts products;
  products.small = decoder.layer_parameters(layer);
  for (const architecture::Stage& stage : decoder.stages(layer)) {
    std::vector<at::Tensor> parts;
    std::vector<int64_t> rows;
    for (const architecture::Tensor& matrix : stage.matrices) {
      parts.push_back(decoder.parameters().at(matrix.name).detach());
      rows.push_back(parts.back().size(0));
    }
    const at::Tensor stacked = tensor::concatenate(parts);
    products.forward.emplace_back(stacked, rows, model::Precision::kFloat32);
    products.backward.emplace_back(stacked.t().contiguous(), std::vector<int64_t>{stacked.size(1)},
                                   model::Precision::kFloat32);
  }
  return products;
}

// One graph through the whole layer; the outputs of its matrices by stage, and gradients by them
// and, last, by the input.
std::vector<at::Tensor> by_autograd(const model::Decoder& decoder, int64_t layer,
                                    const at::Tensor& input, const at::Tensor& gradient,
                                    const model::AttentionContexts& contexts) {
  const at::AutoGradMode with_gradients(true);
  const at::Tensor x = input.detach().requires_grad_();
  model::LayerState state = decoder.runner().begin(layer, x, decoder.layer_parameters(layer));
  std::vector<at::Tensor> sources;
  for (size_t stage = 0; stage < decoder.stages(layer).size(); ++stage) {
    std::vector<at::Tensor> outputs;
    for (const architecture::Tensor& matrix : decoder.stages(layer)[stage].matrices) {
      outputs.push_back(
          at::linear(state.input.rows, decoder.parameters().at(matrix.name).detach()));
      sources.push_back(outputs.back());
    }
    decoder.runner().advance(state, {layer, stage}, outputs, decoder.layer_parameters(layer),
                             contexts);
  }
  sources.push_back(x);
  return torch::autograd::grad({state.residual}, sources, {gradient});
}

void expect_equal_gradients(const model::Decoder& decoder) {
  const text::Windows windows = toy_windows(1, 24);
  const model::Batch batch = toy_batch(windows);
  const model::AttentionContexts contexts = decoder.attention_contexts(batch);
  const int64_t width = decoder.config().hidden_size;
  const at::Tensor input = random_matrix(5, "input", 24, width).unsqueeze(0);
  const at::Tensor gradient = random_matrix(6, "gradient", 24, width).unsqueeze(0);
  const std::vector<at::Tensor> expected = by_autograd(decoder, 1, input, gradient, contexts);
  const WindowGradients found =
      window_gradients(decoder.runner(), 1, products_of(decoder, 1), contexts, input, gradient);
  const auto expect_close = [](const at::Tensor& a, const at::Tensor& b) {
    ASSERT_EQ(a.numel(), b.numel());
    if (a.numel() == 0) return;
    // Two orders of fp32 sums of some 24 * 16 terms.
    EXPECT_LT((a.flatten() - b.flatten()).abs().max().item<double>(),
              1e-5 * b.abs().max().item<double>() + 1e-6);
  };
  size_t next = 0;
  for (const auto& stage : found.outputs) {
    for (const at::Tensor& by_output : stage) expect_close(by_output, expected.at(next++));
  }
  ASSERT_EQ(next + 1, expected.size());
  expect_close(found.input, expected.back());
}

TEST(LayerGradients, AreThoseOfOneGraph) { expect_equal_gradients(toy_decoder({.width = 16})); }

TEST(LayerGradients, GoThroughExpertsAndTheRouter) {
  expect_equal_gradients(toy_mixture({}));
  expect_equal_gradients(toy_mixture({.experts = 6, .per_token = 1}));
}

// An expert that gets nothing has no gradients, and does not disturb the others.
TEST(LayerGradients, AnExpertWithoutTokens) {
  model::Decoder decoder = toy_mixture({.experts = 4, .per_token = 1});
  const std::string name =
      architecture::tensor_name(decoder.config(), architecture::Role::kRouter, 1);
  at::Tensor router = decoder.parameters().at(name).detach().clone();
  router[3].copy_(router.narrow(0, 0, 3).mean(0));  // never the largest
  decoder.set_parameter(name, router);
  expect_equal_gradients(decoder);
}

}  // namespace
}  // namespace frugal::layerwise
