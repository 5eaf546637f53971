#include "layerwise/walk/output_gradients.h"

#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "model/toy.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "support/toy_model.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

constexpr int64_t kLength = 6;

// Of all matrices, from the decoder's weights on disk.
absl::StatusOr<LayerGradients> gradients_of(const model::Decoder& decoder,
                                            const text::Windows& windows,
                                            OutputGradientOptions options = {}) {
  const test::TemporaryFolder folder;
  LayerGradients all;
  int64_t expected = decoder.config().layer_count();
  options.largest_rows = options.largest_rows > 0 ? options.largest_rows : 1000;
  FRUGAL_RETURN_IF_ERROR(output_gradients(save_toy(decoder, folder.path()), windows, options,
                                          [&](int64_t layer, LayerGradients gradients) {
                                            EXPECT_EQ(layer, --expected);
                                            all.merge(gradients);
                                            return absl::OkStatus();
                                          }));
  return all;
}

text::Windows repeated_window(int64_t count) {
  text::Windows windows{.count = count, .length = kLength, .text_sha256 = "toy"};
  for (int64_t i = 0; i < count * kLength; ++i)
    windows.ids.push_back(static_cast<text::TokenId>((5 + 11 * (i % kLength)) % 37));
  return windows;
}

at::Tensor ids_of(const text::Windows& windows) {
  return at::tensor(windows.ids, at::kInt).to(at::kLong).view({windows.count, windows.length});
}

// Forward with the outputs of every matrix, in the order of layers and stages.
struct Graph {
  std::vector<std::string> names;
  std::vector<at::Tensor> inputs, outputs;
  at::Tensor hidden;
};

Graph run(const model::Decoder& decoder, const at::Tensor& ids) {
  Graph graph;
  const model::AttentionContexts contexts =
      decoder.attention_contexts({.ids = ids, .positions = {}});
  at::Tensor x = decoder.embed(ids).detach().requires_grad_();
  for (int64_t layer = 0; layer < decoder.config().layer_count(); ++layer) {
    const model::LayerParameters small = decoder.layer_parameters(layer);
    model::LayerState state = decoder.runner().begin(layer, x, small);
    for (size_t stage = 0; stage < decoder.stages(layer).size(); ++stage) {
      std::vector<at::Tensor> outputs;
      for (const architecture::Tensor& matrix : decoder.stages(layer)[stage].matrices) {
        graph.names.push_back(matrix.name);
        graph.inputs.push_back(state.input.detach());
        outputs.push_back(at::linear(state.input, decoder.parameters().at(graph.names.back())));
      }
      graph.outputs.insert(graph.outputs.end(), outputs.begin(), outputs.end());
      decoder.runner().advance(state, {layer, stage}, outputs, small, contexts);
    }
    x = state.residual;
  }
  graph.hidden = decoder.final_norm(x);
  return graph;
}

// E[g gᵀ] without drawing: labels of different places are independent, so that the expectation is
// the sum over places s and labels v of p_sv (d log p_sv / dy)(d log p_sv / dy)ᵀ.
std::vector<at::Tensor> exact_products(const model::Decoder& decoder, const at::Tensor& ids) {
  const Graph graph = run(decoder, ids);
  const at::Tensor log = at::linear(graph.hidden, decoder.head_weight()).squeeze(0).log_softmax(-1);
  std::vector<at::Tensor> sums(graph.outputs.size());
  for (int64_t s = 0; s < log.size(0); ++s) {
    for (int64_t v = 0; v < log.size(1); ++v) {
      const auto gradients =
          torch::autograd::grad({log[s][v]}, graph.outputs, {}, /*retain_graph=*/true);
      const double p = std::exp(log[s][v].item<double>());
      for (size_t i = 0; i < sums.size(); ++i) {
        const at::Tensor g = gradients[i].squeeze(0).to(at::kDouble);
        const at::Tensor share = at::mm(g.t(), g) * (p / kLength);
        sums[i] = sums[i].defined() ? sums[i] + share : share;
      }
    }
  }
  return sums;
}

TEST(OutputGradients, DrawnLabelsGiveTheTrueFisher) {
  const model::Decoder decoder = model::toy::decoder();
  constexpr int64_t kDraws = 500;
  const text::Windows one = repeated_window(1);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const LayerGradients drawn,
                              gradients_of(decoder, repeated_window(kDraws)));
  const std::vector<at::Tensor> exact = exact_products(decoder, ids_of(one));
  const Graph graph = run(decoder, ids_of(one));
  ASSERT_EQ(drawn.size(), graph.names.size());
  for (size_t i = 0; i < exact.size(); ++i) {
    const at::Tensor squares = exact[i].diagonal();
    const OutputGradients& found = drawn.at(graph.names[i]);
    ASSERT_EQ(found.products.sizes(), exact[i].sizes()) << graph.names[i];
    EXPECT_TRUE(at::allclose(found.squares, found.products.diagonal(), 1e-5)) << graph.names[i];
    // A square of a sum of bounded scores has a relative deviation near sqrt(2) to 3 per draw; the
    // mean of 500 comes within 5 * 3 / sqrt(500) of the truth, sums over rows closer.
    EXPECT_NEAR(found.squares.sum().item<double>() / squares.sum().item<double>(), 1, 0.2)
        << graph.names[i];
    EXPECT_LT((found.squares / squares - 1).abs().max().item<double>(), 0.67) << graph.names[i];
    // Likewise each product against the size of its two rows.
    const at::Tensor size = at::outer(squares.sqrt(), squares.sqrt());
    EXPECT_LT(((found.products - exact[i]) / size).abs().max().item<double>(), 0.67)
        << graph.names[i];
  }
}

TEST(OutputGradients, TallMatricesGiveSquaresAlone) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const LayerGradients found,
      gradients_of(model::toy::decoder(), repeated_window(2), {.largest_rows = 32}));
  EXPECT_TRUE(found.at("model.layers.0.self_attn.q_proj.weight").products.defined());
  EXPECT_FALSE(found.at("model.layers.0.mlp.up_proj.weight").products.defined());
  EXPECT_EQ(found.at("model.layers.0.mlp.up_proj.weight").squares.size(0), 48);
}

double divergence(const model::Decoder& original, const model::Decoder& changed,
                  const at::Tensor& ids) {
  const at::NoGradGuard no_grad;
  const at::Tensor p =
      original.logits({.ids = ids, .positions = {}}).to(at::kDouble).log_softmax(-1);
  const at::Tensor q =
      changed.logits({.ids = ids, .positions = {}}).to(at::kDouble).log_softmax(-1);
  return (p.exp() * (p - q)).sum(-1).mean().item<double>();
}

// KL = 1/2 sum_r F_r ΔW_r H ΔW_rᵀ against what a small random change of one matrix does.
TEST(OutputGradients, PredictTheDivergenceOfSmallChanges) {
  const model::Decoder decoder = model::toy::decoder();
  text::Windows windows{.count = 32, .length = 24, .text_sha256 = "toy"};
  base::RandomStream stream(5, "ids");
  for (int64_t i = 0; i < windows.count * windows.length; ++i)
    windows.ids.push_back(static_cast<text::TokenId>(stream.below(37)));
  const at::Tensor ids = ids_of(windows);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const LayerGradients gradients, gradients_of(decoder, windows));
  const Graph graph = run(decoder, ids);
  double logs = 0;
  for (size_t i = 0; i < graph.names.size(); ++i) {
    const std::string& name = graph.names[i];
    const at::Tensor x = graph.inputs[i].reshape({-1, graph.inputs[i].size(-1)}).to(at::kDouble);
    const at::Tensor hessian = at::mm(x.t(), x) / x.size(0);
    double predicted = 0, measured = 0;
    for (int draw = 0; draw < 2; ++draw) {
      const at::Tensor& weight = decoder.parameters().at(name);
      const at::Tensor change =
          0.01 * random_matrix(11, name + std::to_string(draw), weight.size(0), weight.size(1));
      const at::Tensor outputs = at::mm(change.to(at::kDouble), hessian);
      predicted +=
          0.5 * at::mm(gradients.at(name).products, outputs).mul(change).sum().item<double>();
      model::Decoder changed = decoder;
      changed.set_parameter(name, weight + change);
      measured += divergence(decoder, changed, ids);
    }
    // Products between places, and of g with x, are left out of the prediction, most of all where
    // attention adds up what one change did to many places (values): within a factor 2.5.
    EXPECT_GT(predicted / measured, 0.4) << name;
    EXPECT_LT(predicted / measured, 2.5) << name;
    logs += std::log(predicted / measured);
  }
  EXPECT_NEAR(logs / static_cast<double>(graph.names.size()), 0, 0.3);
}

TEST(OutputGradients, TheSameBitsAtAnyNumberOfThreadsAndFromDisk) {
  const model::Decoder decoder = model::toy::decoder();
  const text::Windows windows = repeated_window(43);
  const test::TemporaryFolder folder;
  const auto with_threads = [&](int threads, const OutputGradientOptions& options) {
    const ThreadCount count(threads);
    return gradients_of(decoder, windows, options);
  };
  FRUGAL_ASSERT_OK_AND_ASSIGN(const LayerGradients one, with_threads(1, {}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const LayerGradients other,
      with_threads(3, {.spill_bytes = 4096, .spill_folder = folder.path()}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const LayerGradients redrawn, with_threads(2, {.seed = 2}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const LayerGradients chunked, with_threads(2, {.logit_tokens = 4}));
  for (const auto& [name, values] : one) {
    EXPECT_TRUE(at::equal(values.squares, other.at(name).squares)) << name;
    EXPECT_TRUE(at::equal(values.products, other.at(name).products)) << name;
    EXPECT_FALSE(at::equal(values.squares, redrawn.at(name).squares)) << name;
    EXPECT_TRUE(at::allclose(values.squares, chunked.at(name).squares, 1e-3, 1e-12)) << name;
  }
}

// bfloat16 keeps 8 bits: a product is off by 2⁻⁸ at most, a mean of thousands by far less.
TEST(OutputGradients, RoundedProductsAreClose) {
  const model::Decoder decoder = model::toy::decoder();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const LayerGradients exact,
                              gradients_of(decoder, repeated_window(64)));
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const LayerGradients rounded,
      gradients_of(decoder, repeated_window(64), {.precision = model::Precision::kRounded}));
  for (const auto& [name, values] : exact) {
    const double ratio =
        rounded.at(name).squares.sum().item<double>() / values.squares.sum().item<double>();
    // Labels are drawn from probabilities a little different: some of 384 differ.
    EXPECT_NEAR(ratio, 1, 0.1) << name;
  }
}

TEST(OutputGradients, SayWhatIsWrong) {
  model::Decoder decoder = model::toy::decoder();
  FRUGAL_EXPECT_ERROR(gradients_of(decoder, text::Windows{.length = 1}),
                      absl::StatusCode::kInvalidArgument, "0 windows");
  text::Windows windows = repeated_window(1);
  windows.ids[2] = 37;
  FRUGAL_EXPECT_ERROR(gradients_of(decoder, windows), absl::StatusCode::kInvalidArgument,
                      "vocabulary has 37");
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  decoder.set_parameter(name, at::full_like(decoder.parameters().at(name), 1e38));
  FRUGAL_EXPECT_ERROR(gradients_of(decoder, repeated_window(1)),
                      absl::StatusCode::kFailedPrecondition, "not finite");
}

}  // namespace
}  // namespace frugal::layerwise
