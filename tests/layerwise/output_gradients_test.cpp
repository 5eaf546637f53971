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

using namespace frugal::test;

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
        graph.inputs.push_back(state.input.rows.detach());
        outputs.push_back(
            at::linear(state.input.rows, decoder.parameters().at(graph.names.back())));
      }
      graph.outputs.insert(graph.outputs.end(), outputs.begin(), outputs.end());
      decoder.runner().advance(state, {layer, stage}, outputs, small, contexts);
    }
    x = state.residual;
  }
  graph.hidden = decoder.final_norm(x);
  return graph;
}

// Without drawing: E[g gᵀ] of one window with its labels drawn from the model, and the variance of
// each entry over draws.
struct ExactProducts {
  at::Tensor mean, variance;  // [rows, rows] fp64
};

// a: [places of labels, labels, places of outputs, rows], d log p_sv / dy; p: [places, labels].
// g = sum_s a_s(v_s) with independent v_s and E[a_s] = 0, so that
//   1/T sum_t g_r g_q = 1/T sum_s <a_sr, a_sq>  +  1/T sum_{s<s'} (<a_sr, a_s'q> + <a_s'r, a_sq>);
// the second sum has mean zero, its terms are uncorrelated with each other and with the first's.
ExactProducts exact_products(const at::Tensor& a, const at::Tensor& p) {
  const int64_t places = a.size(0), tokens = a.size(2), rows = a.size(3);
  ExactProducts result{at::zeros({rows, rows}, at::kDouble), at::zeros({rows, rows}, at::kDouble)};
  std::vector<at::Tensor> covariances;  // E[a_s[t, r] a_s[u, q]], [t, u, r, q]
  for (int64_t s = 0; s < places; ++s) {
    covariances.push_back(at::einsum("vtr,vuq,v->turq", {a[s], a[s], p[s]}));
    const at::Tensor own = at::einsum("vtr,vtq->vrq", {a[s], a[s]}) / tokens;
    const at::Tensor mean = at::einsum("vrq,v->rq", {own, p[s]});
    result.mean += mean;
    result.variance += at::einsum("vrq,v->rq", {own.square(), p[s]}) - mean.square();
  }
  for (int64_t s = 0; s < places; ++s) {
    for (int64_t other = 0; other < s; ++other) {
      const at::Tensor &c = covariances[s], &d = covariances[other];
      const at::Tensor squares = at::einsum("turr,tuqq->rq", {c, d});
      result.variance +=
          (squares + squares.t() + 2 * at::einsum("turq,tuqr->rq", {c, d})) / (tokens * tokens);
    }
  }
  return result;
}

// d log p_sv / dy of every matrix in the order of run(), as exact_products takes them.
struct Scores {
  std::vector<at::Tensor> a;
  at::Tensor p;
};
Scores scores_of(const model::Decoder& decoder, const at::Tensor& ids) {
  const Graph graph = run(decoder, ids);
  const at::Tensor log = at::linear(graph.hidden, decoder.head().weight).squeeze(0).log_softmax(-1);
  std::vector<std::vector<at::Tensor>> gradients(graph.outputs.size());
  for (int64_t s = 0; s < log.size(0); ++s) {
    for (int64_t v = 0; v < log.size(1); ++v) {
      const auto found =
          torch::autograd::grad({log[s][v]}, graph.outputs, {}, /*retain_graph=*/true);
      for (size_t i = 0; i < found.size(); ++i)
        gradients[i].push_back(found[i].squeeze(0).to(at::kDouble));
    }
  }
  Scores scores{{}, log.detach().to(at::kDouble).exp()};
  for (const auto& of_matrix : gradients) {
    const at::Tensor a = at::stack(of_matrix);
    scores.a.push_back(a.view({log.size(0), log.size(1), a.size(1), a.size(2)}));
  }
  return scores;
}

TEST(OutputGradients, DrawnLabelsGiveTheTrueFisher) {
  const model::Decoder decoder = model::toy::decoder();
  constexpr int64_t kDraws = 500;
  const text::Windows one = repeated_window(1);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const LayerGradients drawn,
                              gradients_of(decoder, repeated_window(kDraws)));
  const Scores scores = scores_of(decoder, ids_of(one));
  const std::vector<std::string> names = run(decoder, ids_of(one)).names;
  ASSERT_EQ(drawn.size(), names.size());
  double squares = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    const OutputGradients& found = drawn.at(names[i]);
    const ExactProducts exact = exact_products(scores.a[i], scores.p);
    ASSERT_EQ(found.products.sizes(), exact.mean.sizes()) << names[i];
    EXPECT_TRUE(at::allclose(found.squares, found.products.diagonal(), 1e-5)) << names[i];
    const at::Tensor z = (found.products - exact.mean) / (exact.variance / kDraws).sqrt();
    // Seven standard deviations: below 1e-7 for all entries together were they normal, and room for
    // their longer tails.
    EXPECT_LT(z.abs().max().item<double>(), 7) << names[i];
    squares += z.square().mean().item<double>() / static_cast<double>(names.size());
  }
  // A mean of squares is 1 where only chance is at work; a scale that is wrong by a fifth gives 3.
  EXPECT_LT(squares, 2);
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

// KL = 1/2 tr(G ΔW H ΔWᵀ) against what a small random change of one matrix does. With one token
// per window, always the same, nothing is left out of the prediction: there are no other places,
// and g is independent of x, which is constant.
TEST(OutputGradients, PredictTheDivergenceOfSmallChanges) {
  const model::Decoder decoder = model::toy::decoder();
  constexpr int64_t kDraws = 1000;
  const text::Windows windows{.count = kDraws,
                              .length = 1,
                              .ids = std::vector<text::TokenId>(kDraws, 5),
                              .text_sha256 = "toy"};
  const at::Tensor ids = at::full({1, 1}, 5, at::kLong);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const LayerGradients gradients, gradients_of(decoder, windows));
  const Graph graph = run(decoder, ids);
  const Scores scores = scores_of(decoder, ids);
  int64_t compared = 0;
  for (size_t i = 0; i < graph.names.size(); ++i) {
    const std::string& name = graph.names[i];
    const at::Tensor x = graph.inputs[i].reshape({1, -1}).to(at::kDouble);
    const at::Tensor& weight = decoder.parameters().at(name);
    const at::Tensor change = 0.01 * random_matrix(11, name, weight.size(0), weight.size(1));
    const at::Tensor y = at::mv(change.to(at::kDouble), x[0]);  // ΔW x
    const auto measured = [&](double factor) {
      model::Decoder changed = decoder;
      changed.set_parameter(name, weight + factor * change);
      return divergence(decoder, changed, ids);
    };
    if (name.find("q_proj") != name.npos || name.find("k_proj") != name.npos) {
      EXPECT_EQ(measured(1), 0) << name;  // one key: its weight is 1 whatever the score
      // The backward pass of attention may form the zero as the difference of two equal sums of
      // d = 8 products dO·v: what is left is 2 d 2⁻²⁴ |dO| |v| |k| / √d beside |dO| of the values,
      // 1e-6 by |v| |k| / √d, which is below 10 here.
      const std::string values =
          name.substr(0, name.find("self_attn.")) + "self_attn.v_proj.weight";
      EXPECT_LT(gradients.at(name).squares.max().item<double>(),
                1e-10 * gradients.at(values).squares.max().item<double>())
          << name;
      continue;
    }
    const double predicted = 0.5 * y.dot(at::mv(gradients.at(name).products, y)).item<double>();
    ++compared;
    // Both signs, so that terms of third order cancel; those of fourth show at twice the change.
    const double once = (measured(1) + measured(-1)) / 2;
    const double twice = (measured(2) + measured(-2)) / 8;
    const at::Tensor square =
        at::matmul(scores.a[i][0].squeeze(1), y).square();  // (g·y)², [labels]
    const at::Tensor p = scores.p[0];
    const double mean = p.dot(square).item<double>();
    const double variance = p.dot(square.square()).item<double>() - mean * mean;
    EXPECT_NEAR(once, 0.5 * mean, std::abs(twice - once) + 1e-3 * mean) << name;
    // Six standard deviations of the labels that were drawn.
    EXPECT_NEAR(predicted, 0.5 * mean, 3 * std::sqrt(variance / kDraws)) << name;
  }
  EXPECT_EQ(compared, 3 * 5);
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
