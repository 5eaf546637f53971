#include "layerwise/pruning/sparse.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "layerwise/pruning/width.h"
#include "layerwise/rounding/gptq.h"
#include "layerwise/rounding/order.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

struct Case {
  at::Tensor weights, hessian;
  Factor factor;
};

Case make_case(uint64_t seed, int64_t rows, int64_t columns) {
  Case c;
  c.weights = random_matrix(seed, "weights", rows, columns);
  c.hessian = second_moment(random_inputs(seed, 2 * columns, columns));
  c.factor = factorize(c.hessian, at::arange(columns, at::kLong), {}).value();
  return c;
}

double objective(const Case& c, const at::Tensor& changed) {
  return output_error(changed, c.weights, c.factor.damped).squared;
}

at::Tensor mask_of(const Case& c, WeightScore score, const Pattern& pattern) {
  return choose_mask(weight_scores(c.weights, score, c.hessian.diagonal(), &c.factor), pattern,
                     PatternScope::kRow);
}

const Pattern kPatterns[] = {{.fraction = 0.5}, {.fraction = 0.8}, {.kept = 2, .group = 4}};

// The support's normal equations solved in doubles, row by row.
at::Tensor brute_force(const Case& c, const at::Tensor& mask) {
  at::Tensor result = at::zeros(c.weights.sizes(), at::kDouble);
  for (int64_t r = 0; r < c.weights.size(0); ++r) {
    const at::Tensor set = mask[r].nonzero().flatten();
    const at::Tensor columns = c.factor.damped.index_select(0, set);
    const at::Tensor right = at::mv(columns, c.weights[r].to(at::kDouble));
    const at::Tensor solved =
        at::linalg_solve(columns.index_select(1, set), right.unsqueeze(1)).squeeze(1);
    result[r].index_copy_(0, set, solved);
  }
  return result;
}

// Removing any one row or column, by brute force: the rise of the objective when the weights left
// make up for it as well as they can.
TEST(PatternScores, ObsIsWhatRemovingAWholeRowOrColumnCosts) {
  const Case c = make_case(7, 9, 12);
  const auto cost = [&](const at::Tensor& mask) {
    return objective(c, brute_force(c, mask).to(at::kFloat));
  };
  for (const PatternOf of : {PatternOf::kRows, PatternOf::kColumns}) {
    const at::Tensor scores = pattern_scores(c.weights, {.fraction = 0.5, .of = of},
                                             WeightScore::kObs, c.hessian.diagonal(), &c.factor);
    const bool rows = of == PatternOf::kRows;
    ASSERT_EQ(scores.sizes(), rows ? at::IntArrayRef({9, 1}) : at::IntArrayRef({1, 12}));
    for (int64_t i = 0; i < scores.numel(); ++i) {
      const at::Tensor mask = at::ones({9, 12}, at::kByte);
      mask.select(rows ? 0 : 1, i).zero_();
      const double exact = cost(mask);
      EXPECT_NEAR(scores.flatten()[i].item<double>(), exact, 1e-5 * exact);  // fp32 scores
    }
  }
}

TEST(PatternScores, TheCheapestColumnsGo) {
  const Case c = make_case(8, 14, 40);
  std::vector<std::pair<double, int64_t>> costs;  // of each column alone, by brute force
  for (int64_t column = 0; column < 40; ++column) {
    const at::Tensor mask = at::ones({14, 40}, at::kByte);
    mask.select(1, column).zero_();
    costs.emplace_back(objective(c, brute_force(c, mask).to(at::kFloat)), column);
  }
  std::sort(costs.begin(), costs.end());
  const at::Tensor expected = at::ones({14, 40}, at::kByte);
  for (size_t i = 0; i < 12; ++i) expected.select(1, costs[i].second).zero_();  // 0.3 of 40
  // Else fp32 scores could take one for the other.
  ASSERT_GT(costs[12].first, costs[11].first * (1 + 1e-4));
  const Pattern pattern{.fraction = 0.3, .of = PatternOf::kColumns};
  const at::Tensor mask =
      choose_mask(pattern_scores(c.weights, pattern, WeightScore::kObs, {}, &c.factor), pattern,
                  PatternScope::kRow);
  EXPECT_TRUE(mask.expand({14, 40}).to(at::kByte).equal(expected));
}

TEST(PatternScores, WandaAndMagnitudeAddUpTheirSquares) {
  const Case c = make_case(9, 6, 8);
  const at::Tensor square = c.weights.to(at::kDouble).square();
  const at::Tensor h = c.hessian.diagonal();
  for (const auto& [score, terms] :
       {std::pair{WeightScore::kMagnitude, square}, std::pair{WeightScore::kWanda, square * h}}) {
    for (const PatternOf of : {PatternOf::kRows, PatternOf::kColumns}) {
      const at::Tensor found = pattern_scores(c.weights, {.fraction = 0.5, .of = of}, score, h, {});
      const at::Tensor expected = terms.sum(of == PatternOf::kRows ? 1 : 0, true);
      EXPECT_LT(((found - expected) / expected).abs().max().item<double>(), 1e-5);
    }
  }
}

TEST(Refit, IsTheLeastSquaresOptimumOnTheMask) {
  for (const Pattern& pattern : kPatterns) {
    const Case c = make_case(1, 70, 96);
    const at::Tensor mask = mask_of(c, WeightScore::kWanda, pattern);
    const RefitResult result = refit(c.weights, mask, c.factor, {.steps = 500, .tolerance = 1e-9});
    const double best = objective(c, brute_force(c, mask)), found = objective(c, result.weights);
    EXPECT_GE(found, best * (1 - 1e-9));
    EXPECT_LE(found, best * (1 + 1e-4));  // fp32 steps
    EXPECT_TRUE(result.weights.masked_select(mask == 0).eq(0).all().item<bool>());
    // Its gradient on the support is zero against that of the cut weights.
    const auto gradient = [&](const at::Tensor& v) {
      return (at::mm(v.to(at::kDouble) - c.weights, c.factor.damped) * mask).norm().item<double>();
    };
    EXPECT_LT(gradient(result.weights), 1e-3 * gradient(c.weights * mask));
  }
}

TEST(Refit, ReportsItsErrorsAndStopsInTime) {
  const Case c = make_case(2, 130, 128);
  const at::Tensor mask = mask_of(c, WeightScore::kObs, {.fraction = 0.5});
  const RefitResult result = refit(c.weights, mask, c.factor, {});
  EXPECT_NEAR(result.objective_before, objective(c, c.weights * mask),
              1e-4 * result.objective_before);
  EXPECT_NEAR(result.objective, objective(c, result.weights), 1e-3 * result.objective);
  const double best = objective(c, brute_force(c, mask));
  EXPECT_EQ(result.rows_unfinished, 0);
  EXPECT_LE(result.steps, 60);
  // The estimate of what is left looks four steps back; a factor of ten for where it is optimistic.
  EXPECT_LE(objective(c, result.weights), best * (1 + 10 * 1e-3));
  const RefitResult cut = refit(c.weights, mask, c.factor, {.steps = 3});
  EXPECT_GT(cut.rows_unfinished, 0);
  EXPECT_EQ(cut.steps, 3);
  EXPECT_LT(cut.objective, cut.objective_before);
}

TEST(Refit, NothingMaskedGivesTheTargetBack) {
  const Case c = make_case(3, 10, 64);
  const RefitResult result = refit(c.weights, at::ones(c.weights.sizes(), at::kByte), c.factor, {});
  EXPECT_TRUE(result.weights.equal(c.weights));
  EXPECT_EQ(result.steps, 0);
  EXPECT_EQ(result.objective, 0);
}

TEST(Refit, SameBitsAtAnyThreadCount) {
  const Case c = make_case(4, 200, 96);
  const at::Tensor mask = mask_of(c, WeightScore::kWanda, {.fraction = 0.5});
  const ThreadCount one(1);
  const at::Tensor expected = refit(c.weights, mask, c.factor, {}).weights;
  const ThreadCount three(3);
  EXPECT_TRUE(refit(c.weights, mask, c.factor, {}).weights.equal(expected));
}

TEST(Refit, ZeroRowsAndDeadColumnsStay) {
  Case c = make_case(5, 6, 64);
  c.weights[2].zero_();
  at::Tensor hessian = c.hessian.clone();
  hessian.index_fill_(0, at::tensor({7, 30}, at::kLong), 0)
      .index_fill_(1, at::tensor({7, 30}, at::kLong), 0);
  c.hessian = hessian;
  c.factor = factorize(hessian, at::arange(64, at::kLong), {}).value();
  for (const WeightScore score :
       {WeightScore::kWanda, WeightScore::kObs, WeightScore::kMagnitude}) {
    const at::Tensor mask = mask_of(c, score, {.fraction = 0.5});
    EXPECT_EQ((mask == 0).sum().item<int64_t>(), 6 * 32);
    if (score == WeightScore::kWanda) {  // no input: first to go
      EXPECT_TRUE(mask.narrow(0, 3, 3).select(1, 7).eq(0).all().item<bool>());
    }
    const at::Tensor found = refit(c.weights, mask, c.factor, {}).weights;
    EXPECT_TRUE(at::isfinite(found).all().item<bool>());
    EXPECT_TRUE(found[2].eq(0).all().item<bool>());
  }
  c.weights[1][1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_ANY_THROW(refit(c.weights, at::ones(c.weights.sizes(), at::kByte), c.factor, {}));
  EXPECT_ANY_THROW(sparsegpt(c.weights, c.factor, {.fraction = 0.5}, {}));
}

// Removing one weight and letting all others make up for it raises the error by w² / (H⁻¹)_ii.
TEST(Scores, ObsIsTheRiseOfTheErrorByBruteForce) {
  const Case c = make_case(6, 3, 24);
  const at::Tensor scores =
      weight_scores(c.weights, WeightScore::kObs, {}, &c.factor).to(at::kDouble).square();
  for (int64_t r = 0; r < 3; ++r) {
    for (int64_t i = 0; i < 24; i += 5) {
      at::Tensor mask = at::ones({3, 24}, at::kByte);
      mask[r][i] = 0;
      const double rise = objective(c, brute_force(c, mask));
      EXPECT_NEAR(scores[r][i].item<double>(), rise, 1e-5 * rise);  // scores are fp32
    }
  }
}

TEST(Scores, AreWhatTheyAreCalled) {
  const Case c = make_case(7, 4, 16);
  const at::Tensor diagonal = c.hessian.diagonal();
  EXPECT_TRUE(
      weight_scores(c.weights, WeightScore::kMagnitude, {}, nullptr).equal(c.weights.abs()));
  EXPECT_TRUE(weight_scores(c.weights, WeightScore::kWanda, diagonal, nullptr)
                  .allclose(c.weights.abs() * diagonal.sqrt().to(at::kFloat)));
  EXPECT_ANY_THROW(weight_scores(c.weights, WeightScore::kWanda, {}, nullptr));
  EXPECT_ANY_THROW(weight_scores(c.weights, WeightScore::kObs, diagonal, nullptr));
}

// SparseGPT column by column over the whole row in doubles, on its own masks.
TEST(SparseGpt, WeightsEqualABruteForceInDoubles) {
  const Case c = make_case(8, 12, 160);
  for (const Pattern& pattern : kPatterns) {
    const SparseGptResult result = sparsegpt(c.weights, c.factor, pattern, {});
    at::Tensor w = c.weights.to(at::kDouble).clone();
    for (int64_t p = 0; p < 160; ++p) {
      const at::Tensor kept = result.mask.select(1, p).to(at::kDouble);
      const at::Tensor error = w.select(1, p) * (1 - kept) / c.factor.upper[p][p].item<double>();
      w.select(1, p).mul_(kept);
      if (p + 1 < 160)
        w.narrow(1, p + 1, 159 - p)
            .sub_(at::outer(error, c.factor.upper[p].narrow(0, p + 1, 159 - p)));
    }
    EXPECT_LT((result.weights - w).norm().item<double>(), 1e-4 * w.norm().item<double>());
    EXPECT_NEAR(result.objective, objective(c, result.weights), 1e-3 * result.objective);
  }
}

TEST(SparseGpt, CountsAreExactWhateverTheScopeAndBlock) {
  const Case c = make_case(9, 33, 200);
  for (const Pattern& pattern : kPatterns) {
    for (const PatternScope scope : {PatternScope::kRow, PatternScope::kBlock}) {
      for (const int64_t block : {200, 128, 32}) {
        const SparseGptResult result =
            sparsegpt(c.weights, c.factor, pattern, {.scope = scope, .mask_block = block});
        EXPECT_EQ((result.weights == 0).sum().item<int64_t>(), zero_count(pattern, scope, 33, 200));
        EXPECT_TRUE((result.weights != 0).equal(result.mask != 0));
        if (pattern.group == 0) continue;
        EXPECT_TRUE(result.mask.view({33, -1, 4}).sum(2).eq(2).all().item<bool>());
      }
    }
  }
}

// Better than cutting by magnitude or Wanda's score; and the exact refit on any mask is never worse
// than what the sweep found on it.
TEST(SparseGpt, StandsBetweenCuttingAndTheRefit) {
  for (const Pattern& pattern : kPatterns) {
    double wanda = 0, swept = 0, refitted = 0;
    for (uint64_t seed = 20; seed < 30; ++seed) {
      const Case c = make_case(seed, 8, 128);
      const SparseGptResult result = sparsegpt(c.weights, c.factor, pattern, {});
      const double found = objective(c, result.weights);
      const double refit_found = objective(c, refit(c.weights, result.mask, c.factor, {}).weights);
      EXPECT_LE(refit_found, found * (1 + 1e-2)) << seed;  // the refit stops at a thousandth
      wanda += objective(c, c.weights * mask_of(c, WeightScore::kWanda, pattern));
      swept += found;
      refitted += refit_found;
    }
    EXPECT_LT(swept, wanda);
    EXPECT_LT(refitted, swept);
  }
}

TEST(SparseGpt, SameBitsAtAnyThreadCount) {
  const Case c = make_case(10, 150, 256);
  for (const Pattern& pattern : kPatterns) {
    const ThreadCount one(1);
    const at::Tensor expected = sparsegpt(c.weights, c.factor, pattern, {}).weights;
    const ThreadCount three(3);
    EXPECT_TRUE(sparsegpt(c.weights, c.factor, pattern, {}).weights.equal(expected));
  }
}

TEST(SparseGpt, RefusesWhatDoesNotFit) {
  const Case c = make_case(11, 4, 66);
  EXPECT_ANY_THROW(sparsegpt(c.weights, c.factor, {.kept = 2, .group = 4}, {}));
  EXPECT_ANY_THROW(
      sparsegpt(c.weights, c.factor, {.fraction = 0.5}, {.scope = PatternScope::kMatrix}));
  const Factor turned = factorize(c.hessian, at::arange(65, -1, -1, at::kLong), {}).value();
  EXPECT_ANY_THROW(sparsegpt(c.weights, turned, {.fraction = 0.5}, {}));
}

}  // namespace
}  // namespace frugal::layerwise
