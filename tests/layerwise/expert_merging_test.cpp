#include "layerwise/pruning/expert_merging.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "support/toy_mixture.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;
using testing::ElementsAre;

ExpertMatrices random_expert(uint64_t seed, int64_t neurons, int64_t width) {
  return {random_matrix(seed, "gate", neurons, width), random_matrix(seed, "up", neurons, width),
          random_matrix(seed, "down", width, neurons)};
}

// The same function with neurons in another order, and some signs of up and down turned.
ExpertMatrices disguised(const ExpertMatrices& expert, const std::vector<int64_t>& order) {
  const at::Tensor places = at::tensor(order, at::kLong);
  at::Tensor signs = at::ones({static_cast<int64_t>(order.size()), 1}, at::kFloat);
  for (int64_t i = 0; i < signs.size(0); i += 3) signs[i].neg_();
  return {expert.gate.index_select(0, places), expert.up.index_select(0, places) * signs,
          expert.down.index_select(1, places) * signs.t()};
}

void expect_same(const ExpertMatrices& a, const ExpertMatrices& b) {
  EXPECT_TRUE(at::equal(a.gate, b.gate));
  EXPECT_TRUE(at::equal(a.up, b.up));
  EXPECT_TRUE(at::equal(a.down, b.down));
}

at::Tensor outputs(const ExpertMatrices& expert, const at::Tensor& x) {
  return at::linear(at::silu(at::linear(x, expert.gate)) * at::linear(x, expert.up), expert.down);
}

TEST(AlignedExperts, ADisguiseComesOff) {
  const ExpertMatrices expert = random_expert(1, 40, 12);
  std::vector<int64_t> order(40);
  std::iota(order.begin(), order.end(), 0);
  std::rotate(order.begin(), order.begin() + 17, order.end());
  std::reverse(order.begin() + 3, order.begin() + 21);
  expect_same(aligned(disguised(expert, order), expert), expert);
}

TEST(AlignedExperts, AreTheSameFunction) {
  const ExpertMatrices expert = random_expert(1, 24, 8), other = random_expert(2, 24, 8);
  const at::Tensor x = random_matrix(3, "x", 30, 8);
  const at::Tensor before = outputs(expert, x);
  EXPECT_LT((outputs(aligned(expert, other), x) - before).abs().max().item<double>(),
            1e-5 * before.abs().max().item<double>());
}

double similarity(const ExpertMatrices& a, const ExpertMatrices& b) {
  return ((a.gate * b.gate).sum() + (a.up * b.up).sum() + (a.down * b.down).sum()).item<double>();
}

// No order and no signs come nearer.
TEST(AlignedExperts, AreTheNearestOfAllOrders) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const ExpertMatrices expert = random_expert(seed, 5, 4), reference = random_expert(90, 5, 4);
    double most = -std::numeric_limits<double>::infinity();
    std::vector<int64_t> order = {0, 1, 2, 3, 4};
    do {
      double sum = 0;
      for (int64_t i = 0; i < 5; ++i) {
        const int64_t j = order[static_cast<size_t>(i)];
        sum += (reference.gate[i] * expert.gate[j]).sum().item<double>();
        sum += std::fabs(((reference.up[i] * expert.up[j]).sum() +
                          (reference.down.select(1, i) * expert.down.select(1, j)).sum())
                             .item<double>());
      }
      most = std::max(most, sum);
    } while (std::next_permutation(order.begin(), order.end()));
    EXPECT_NEAR(similarity(aligned(expert, reference), reference), most, 1e-4) << seed;
  }
}

TEST(AverageExperts, IsWeighted) {
  const ExpertMatrices a = random_expert(1, 6, 4), b = random_expert(2, 6, 4);
  const ExpertMatrices mean = average({a, b}, {0.75, 0.25});
  EXPECT_TRUE(at::allclose(mean.up, 0.75 * a.up + 0.25 * b.up));
  expect_same(average({a}, {1.0}), a);
  // Experts that are one and the same in disguise lose nothing.
  const ExpertMatrices twin = aligned(disguised(a, {5, 3, 1, 0, 2, 4}), a);
  expect_same(average({a, twin}, {0.5, 0.5}), a);
}

// Outputs on a line: 0, 1 and 10 apart; the products of centred numbers are theirs.
at::Tensor products_of(const std::vector<double>& values) {
  const at::Tensor x = at::tensor(values, at::kDouble).unsqueeze(1);
  return at::mm(x, x.t());
}

TEST(GroupExperts, JoinsThoseThatAreAlike) {
  EXPECT_THAT(group_experts(products_of({0.0, 10.0, 0.5, 10.4}), {5, 3, 9, 4}, 2),
              ElementsAre(ElementsAre(2, 0), ElementsAre(3, 1)));  // the most used in front
  EXPECT_THAT(group_experts(products_of({1, 2, 3}), {1, 1, 1}, 3),
              ElementsAre(ElementsAre(0), ElementsAre(1), ElementsAre(2)));
  EXPECT_THAT(group_experts(products_of({1, 2, 3}), {1, 1, 1}, 1),
              ElementsAre(ElementsAre(0, 1, 2)));
}

// Ward: what is hardly used costs little wherever it goes; between equals it goes to the nearest.
TEST(GroupExperts, WeighsByUsage) {
  EXPECT_THAT(group_experts(products_of({0.0, 1.0, 9.0}), {1000, 1000, 1}, 2),
              ElementsAre(ElementsAre(0), ElementsAre(1, 2)));
  EXPECT_THAT(group_experts(products_of({0.0, 1.0, 9.0}), {1000, 1000, 1000}, 2),
              ElementsAre(ElementsAre(0, 1), ElementsAre(2)));
  EXPECT_THAT(group_experts(products_of({0.0, 4.0, 9.0}), {7, 0, 7}, 2),
              ElementsAre(ElementsAre(0, 1), ElementsAre(2)));  // one without tokens counts as one
}

TEST(WeightedRefit, SolvesTheNormalEquations) {
  const at::Tensor x = random_inputs(1, 300, 10), truth = random_matrix(2, "truth", 6, 10);
  const at::Tensor start = random_matrix(3, "start", 6, 10);
  const at::Tensor y = at::linear(x, truth) + random_matrix(4, "noise", 300, 6);
  const at::Tensor q = random_matrix(5, "q", 300, 1).abs().flatten();
  WeightedRefit refit(start);
  refit.add(x.narrow(0, 0, 120), y.narrow(0, 0, 120), q.narrow(0, 0, 120));
  refit.add(x.narrow(0, 120, 180), y.narrow(0, 120, 180), q.narrow(0, 120, 180));
  refit.add(x.narrow(0, 0, 0), y.narrow(0, 0, 0), q.narrow(0, 0, 0));
  EXPECT_EQ(refit.rows_seen(), 300);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const WeightedRefit::Result result, refit.solve(1e-9));
  const at::Tensor xd = x.to(at::kDouble), w = q.to(at::kDouble).unsqueeze(1);
  const at::Tensor moment = at::mm((xd * w).t(), xd);
  const at::Tensor expected = at::linalg_solve(moment, at::mm((xd * w).t(), y.to(at::kDouble))).t();
  EXPECT_LT((result.weights - expected).abs().max().item<double>(),
            1e-5 * expected.abs().max().item<double>());
  const auto error = [&](const at::Tensor& weights) {
    const at::Tensor off = y.to(at::kDouble) - at::mm(xd, weights.to(at::kDouble).t());
    return ((off.square() * w).sum() / (y.to(at::kDouble).square() * w).sum()).item<double>();
  };
  EXPECT_NEAR(result.error_before, error(start), 1e-9 * error(start));
  EXPECT_NEAR(result.error_after, error(expected), 1e-6 * error(start));
}

TEST(WeightedRefit, WhatIsRightStays) {
  const at::Tensor x = random_inputs(1, 200, 8), weights = random_matrix(2, "w", 5, 8);
  WeightedRefit refit(weights);
  refit.add(x, at::linear(x, weights), at::ones({200}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const WeightedRefit::Result result, refit.solve(0));
  // Targets rounded to fp32 are all there is to make up for.
  EXPECT_LT((result.weights - weights).abs().max().item<double>(), 1e-5);
  EXPECT_LT(result.error_after, 1e-12);
  WeightedRefit nothing(weights);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const WeightedRefit::Result same, nothing.solve(0));
  EXPECT_TRUE(at::equal(same.weights, weights));
  EXPECT_FALSE(same.damping.has_value());
}

}  // namespace
}  // namespace frugal::layerwise
