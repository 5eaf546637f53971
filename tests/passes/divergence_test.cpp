#include "passes/quantize/divergence.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/toy_model.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

// Mean of KL(p || q) in fp64 from logits.
double by_definition(const model::Decoder& original, const model::Decoder& changed,
                     const text::Windows& windows) {
  const at::NoGradGuard no_grad;
  const model::Batch batch = toy_batch(windows);
  const at::Tensor p = at::log_softmax(original.logits(batch).to(at::kDouble), -1),
                   q = at::log_softmax(changed.logits(batch).to(at::kDouble), -1);
  return (p.exp() * (p - q)).sum(-1).mean().item<double>();
}

TEST(MeanDivergence, IsTheDefinition) {
  const model::Decoder original = toy_decoder({}, 1), changed = toy_decoder({}, 2);
  const text::Windows windows = toy_windows(3, 16);
  std::vector<at::Tensor> hidden;
  const double found = mean_divergence(original, changed, windows, hidden);
  const double expected = by_definition(original, changed, windows);
  EXPECT_GT(expected, 0.1);  // two models that have nothing to do with each other
  // Hidden states, and logits of magnitude 10 with sums of 32 terms, in fp32: 1e-6 of them or so.
  EXPECT_NEAR(found, expected, 1e-4 * expected);
  EXPECT_EQ(hidden.size(), 3u);
}

TEST(MeanDivergence, OfAModelFromItselfIsNone) {
  const model::Decoder decoder = toy_decoder({});
  std::vector<at::Tensor> hidden;
  EXPECT_NEAR(mean_divergence(decoder, decoder.clone(), toy_windows(2, 16), hidden), 0, 1e-6);
}

TEST(MeanDivergence, TheOriginalsStatesAreKept) {
  const model::Decoder original = toy_decoder({}, 1), changed = toy_decoder({}, 2);
  const text::Windows windows = toy_windows(2, 16);
  std::vector<at::Tensor> hidden;
  const double before = mean_divergence(original, changed, windows, hidden);
  ASSERT_EQ(hidden.size(), 2u);
  EXPECT_EQ(hidden[0].sizes(), at::IntArrayRef({16, 32}));
  const at::Tensor kept = hidden[0];
  EXPECT_EQ(mean_divergence(original, changed, windows, hidden), before);
  EXPECT_TRUE(hidden[0].is_same(kept));
  hidden[0] = at::zeros_like(kept);  // believed: not computed again
  EXPECT_NE(mean_divergence(original, changed, windows, hidden), before);
}

TEST(MeanDivergence, ThreadsDoNotMatter) {
  const model::Decoder original = toy_decoder({}, 1), changed = toy_decoder({}, 2);
  const text::Windows windows = toy_windows(5, 16);
  const int threads = at::get_num_threads();
  std::vector<double> found;
  for (const int count : {1, 3}) {
    at::set_num_threads(count);
    std::vector<at::Tensor> hidden;
    found.push_back(mean_divergence(original, changed, windows, hidden));
  }
  at::set_num_threads(threads);
  EXPECT_EQ(found[0], found[1]);
}

TEST(MeanDivergence, WhatIsNotFiniteShows) {
  const model::Decoder original = toy_decoder({});
  model::Decoder broken = original.clone();
  broken.set_parameter("model.norm.weight", at::full({32}, std::nan(""), at::kFloat));
  std::vector<at::Tensor> hidden;
  EXPECT_FALSE(std::isfinite(mean_divergence(original, broken, toy_windows(2, 16), hidden)));
}

}  // namespace
}  // namespace frugal::passes
