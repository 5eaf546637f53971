#include "layerwise/pruning/width.h"

#include <algorithm>
#include <numeric>

#include "layerwise/rounding/gptq.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

at::Tensor natural(int64_t columns) { return at::arange(columns, at::kLong); }

struct Case {
  at::Tensor weights;
  Factor factor;
};

Case make_case(uint64_t seed, int64_t rows, int64_t neurons) {
  const at::Tensor h = second_moment(random_inputs(seed, 5 * neurons, neurons));
  return {random_matrix(seed, "weights", rows, neurons),
          factorize(h, natural(neurons), {}).value()};
}

// The least error when only `kept` may be used: by solving the normal equations row by row in the
// damped metric.
double least_error(const Case& c, const std::vector<int64_t>& kept) {
  const at::Tensor set = at::tensor(kept, at::kLong), w = c.weights.to(at::kDouble),
                   h = c.factor.damped;
  const at::Tensor subset = h.index_select(0, set).index_select(1, set);
  const at::Tensor solved = at::mm(at::mm(w, h.index_select(1, set)), at::linalg_inv(subset));
  at::Tensor full = at::zeros_like(w);
  full.index_copy_(1, set, solved);
  const at::Tensor d = full - w;
  return (at::mm(d, h) * d).sum().item<double>();
}

std::vector<int64_t> without(int64_t neurons, int64_t removed) {
  std::vector<int64_t> kept;
  for (int64_t j = 0; j < neurons; ++j) {
    if (j != removed) kept.push_back(j);
  }
  return kept;
}

TEST(Width, KeptCountIsARoundedMultiple) {
  EXPECT_EQ(kept_structures(352, 0.75, 32), 256);  // 264 / 32 = 8.25
  EXPECT_EQ(kept_structures(352, 1.0, 32), 352);
  EXPECT_EQ(kept_structures(100, 1.0, 32), 96);    // 3.125
  EXPECT_EQ(kept_structures(352, 0.001, 32), 32);  // never nothing
  EXPECT_EQ(kept_structures(120, 0.99, 32), 120);  // 3.7 rounds to 4, beyond what is there
}

TEST(Width, OneRemovalCostsWhatBruteForceSays) {
  const Case c = make_case(1, 6, 9);
  const at::Tensor diagonal = inverse_diagonal(c.factor);
  int64_t cheapest = 0;
  double least = 1e300;
  for (int64_t j = 0; j < 9; ++j) {
    const double cost =
        (c.weights.select(1, j).to(at::kDouble).square().sum() / diagonal[j]).item<double>();
    const double exact = least_error(c, without(9, j));
    EXPECT_NEAR(cost, exact, 1e-8 * exact);
    if (exact < least) {
      least = exact;
      cheapest = j;
    }
  }
  const WidthProblem problem{
      .target = c.weights, .mean_absolute = {}, .magnitude = {}, .factor = &c.factor};
  EXPECT_EQ(choose_structures(problem, StructureScore::kObs, 8), without(9, cheapest));
  EXPECT_EQ(choose_structures(problem, StructureScore::kObsGreedy, 8), without(9, cheapest));
}

// Greedy by brute force: at each step try every removal with an exact solve.
TEST(Width, GreedyEqualsBruteForce) {
  const Case c = make_case(2, 5, 10);
  std::vector<int64_t> kept = without(10, -1);
  while (kept.size() > 4) {
    double least = 1e300;
    std::vector<int64_t> best;
    for (size_t i = 0; i < kept.size(); ++i) {
      std::vector<int64_t> tried = kept;
      tried.erase(tried.begin() + static_cast<int64_t>(i));
      const double error = least_error(c, tried);
      if (error < least) {
        least = error;
        best = tried;
      }
    }
    kept = best;
  }
  const WidthProblem problem{
      .target = c.weights, .mean_absolute = {}, .magnitude = {}, .factor = &c.factor};
  EXPECT_EQ(choose_structures(problem, StructureScore::kObsGreedy, 4), kept);
}

// The cost of a structure of several columns, against the exact solve without it.
TEST(Width, RemovingAHeadCostsWhatBruteForceSays) {
  const Case c = make_case(5, 6, 24);
  std::vector<double> costs;
  for (int64_t head = 0; head < 6; ++head) {
    std::vector<int64_t> others;
    for (int64_t j = 0; j < 24; ++j) {
      if (j / 4 != head) others.push_back(j);
    }
    costs.push_back(least_error(c, others));
  }
  const int64_t cheapest = std::min_element(costs.begin(), costs.end()) - costs.begin();
  const WidthProblem problem{
      .target = c.weights, .mean_absolute = {}, .magnitude = {}, .factor = &c.factor, .unit = 4};
  for (const StructureScore score : {StructureScore::kObs, StructureScore::kObsGreedy})
    EXPECT_EQ(choose_structures(problem, score, 5), without(6, cheapest));
  // All in their order of cost: keep the k dearest.
  std::vector<int64_t> order{0, 1, 2, 3, 4, 5};
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return costs[static_cast<size_t>(a)] > costs[static_cast<size_t>(b)];
  });
  std::vector<int64_t> dearest(order.begin(), order.begin() + 3);
  std::sort(dearest.begin(), dearest.end());
  EXPECT_EQ(choose_structures(problem, StructureScore::kObs, 3), dearest);
}

TEST(Width, EveryGroupKeepsTheSameNumber) {
  const Case c = make_case(6, 6, 24);
  for (const StructureScore score : {StructureScore::kObs, StructureScore::kObsGreedy}) {
    for (const int64_t unit : {1, 2}) {
      const WidthProblem problem{.target = c.weights,
                                 .mean_absolute = {},
                                 .magnitude = {},
                                 .factor = &c.factor,
                                 .unit = unit,
                                 .groups = 3};
      const int64_t size = 24 / unit / 3;
      const std::vector<int64_t> kept = choose_structures(problem, score, 6);
      for (int64_t group = 0; group < 3; ++group) {
        EXPECT_EQ(
            std::count_if(kept.begin(), kept.end(), [&](int64_t s) { return s / size == group; }),
            2);
      }
      EXPECT_TRUE(std::is_sorted(kept.begin(), kept.end()));
      EXPECT_THROW(choose_structures(problem, score, 5), c10::Error);
    }
  }
  EXPECT_EQ(elements_of({1, 3}, 2), (std::vector<int64_t>{2, 3, 6, 7}));
}

TEST(Width, CompensationLeavesNoGradientOnTheKeptSet) {
  const Case c = make_case(3, 12, 40);
  const WidthProblem problem{
      .target = c.weights, .mean_absolute = {}, .magnitude = {}, .factor = &c.factor};
  const std::vector<int64_t> kept = choose_structures(problem, StructureScore::kObs, 20);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor compensated, compensate(c.weights, c.factor, kept));
  at::Tensor full = at::zeros_like(c.weights), cut = at::zeros_like(c.weights);
  const at::Tensor set = at::tensor(kept, at::kLong);
  full.index_copy_(1, set, compensated);
  cut.index_copy_(1, set, c.weights.index_select(1, set));
  const at::Tensor gradient =
      at::mm((full - c.weights).to(at::kDouble), c.factor.damped).index_select(1, set);
  const double scale =
      at::mm(c.weights.to(at::kDouble), c.factor.damped).abs().max().item<double>();
  EXPECT_LT(gradient.abs().max().item<double>(), 1e-5 * scale);  // W' is stored in fp32
  EXPECT_LT(output_error(full, c.weights, c.factor.damped).squared,
            output_error(cut, c.weights, c.factor.damped).squared);
}

TEST(Width, SimpleScoresKeepTheLargest) {
  const at::Tensor weights = at::ones({2, 5});
  const at::Tensor values = at::tensor({3.0, 1.0, 2.0, 3.0, 0.5}, at::kDouble);
  const WidthProblem problem{
      .target = weights, .mean_absolute = values, .magnitude = values.flip(0), .factor = nullptr};
  EXPECT_EQ(choose_structures(problem, StructureScore::kActivation, 3),
            (std::vector<int64_t>{0, 2, 3}));
  EXPECT_EQ(choose_structures(problem, StructureScore::kMagnitude, 3),
            (std::vector<int64_t>{1, 2, 4}));
  EXPECT_THROW(choose_structures(problem, StructureScore::kObs, 3), c10::Error);
  EXPECT_THROW(choose_structures(problem, StructureScore::kActivation, 6), c10::Error);
}

TEST(Width, RemovingNothingKeepsEverything) {
  const Case c = make_case(8, 6, 24);
  const at::Tensor values = at::ones({24}, at::kDouble);
  for (const int64_t unit : {1, 4}) {
    const int64_t count = 24 / unit;
    const WidthProblem problem{.target = c.weights,
                               .mean_absolute = values,
                               .magnitude = values.narrow(0, 0, count),
                               .factor = &c.factor,
                               .unit = unit,
                               .groups = 2};
    std::vector<int64_t> all(static_cast<size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    for (const StructureScore score : {StructureScore::kObs, StructureScore::kObsGreedy,
                                       StructureScore::kActivation, StructureScore::kMagnitude}) {
      EXPECT_EQ(choose_structures(problem, score, count), all);
    }
    FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor same,
                                compensate(c.weights, c.factor, elements_of(all, unit)));
    // The weights come through a factorization and a solve in fp64, and are fp32.
    EXPECT_LT((same - c.weights).abs().max().item<double>(), 1e-6);
  }
}

TEST(Width, ANeuronThatNobodyReadsGoesFirstAndCostsNothing) {
  Case c = make_case(4, 6, 12);
  c.weights.select(1, 7).zero_();
  const WidthProblem problem{
      .target = c.weights, .mean_absolute = {}, .magnitude = {}, .factor = &c.factor};
  for (const StructureScore score : {StructureScore::kObs, StructureScore::kObsGreedy}) {
    const std::vector<int64_t> kept = choose_structures(problem, score, 11);
    EXPECT_EQ(kept, without(12, 7));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor compensated,
                                compensate(c.weights, c.factor, kept));
    const at::Tensor same = c.weights.index_select(1, at::tensor(kept, at::kLong));
    EXPECT_LT((compensated - same).abs().max().item<double>(), 1e-5);
  }
}

}  // namespace
}  // namespace frugal::layerwise
