#include "kernels/mask_sweep.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "layer_problem.h"
#include "support/openmp.h"

namespace frugal::kernels {
namespace {

struct Result {
  std::vector<float> weights, errors;
  std::vector<uint8_t> mask;
  std::vector<double> loss;
  bool operator==(const Result&) const = default;
};

struct Rule {
  int64_t kept = 0, group = 0;
};

MaskSweep whole(const LayerProblem& problem, const std::vector<float>& factor, Rule rule,
                Result& result) {
  return {.rows = problem.rows,
          .width = problem.columns,
          .weights = result.weights.data(),
          .weights_stride = problem.columns,
          .factor = factor.data(),
          .factor_stride = problem.columns,
          .mask = result.mask.data(),
          .mask_stride = problem.columns,
          .group = rule.group,
          .kept = rule.kept,
          .errors = result.errors.data(),
          .errors_stride = problem.columns,
          .row_loss = result.loss.data()};
}

Result run(const LayerProblem& problem, Rule rule, void (*kernel)(const MaskSweep&) = mask_sweep) {
  Result result{problem.weights, std::vector<float>(problem.weights.size()),
                random_mask(problem.rows, problem.columns, 5),
                std::vector<double>(problem.rows, 0.0)};
  const std::vector<float> factor =
      inverse_factor(problem.hessian, identity_order(problem.columns));
  kernel(whole(problem, factor, rule, result));
  return result;
}

constexpr Rule kRules[] = {{0, 0}, {2, 4}, {4, 8}, {1, 4}, {5, 12}, {9, 24}};

TEST(MaskSweep, EveryImplementationGivesTheSameBits) {
  for (const int64_t rows : {1, 16, 37}) {
    const LayerProblem problem = random_problem(rows, 72, 1);
    for (const Rule rule : kRules) {
      const Result reference = run(problem, rule, mask_sweep_kernels().back().run);
      for (const MaskSweepKernel& kernel : mask_sweep_kernels()) {
        if (!kernel.available()) continue;
        EXPECT_EQ(run(problem, rule, kernel.run), reference) << kernel.name << " " << rule.group;
      }
    }
  }
}

TEST(MaskSweep, KeepsWhatItShould) {
  const LayerProblem problem = random_problem(20, 72, 2);
  for (const Rule rule : kRules) {
    const Result result = run(problem, rule);
    for (size_t i = 0; i < result.mask.size(); ++i)
      EXPECT_EQ(result.weights[i] == 0, result.mask[i] == 0);
    if (rule.group == 0) {
      EXPECT_EQ(result.mask, random_mask(20, 72, 5));
    }
    for (size_t i = 0; rule.group > 0 && i < result.mask.size(); i += rule.group) {
      const auto group = result.mask.begin() + static_cast<int64_t>(i);
      EXPECT_EQ(std::count(group, group + rule.group, 1), rule.kept);
    }
  }
}

// Sum of squared errors = tr(dW (H + lambda I) dW^T), row by row.
TEST(MaskSweep, LossIsTheObjective) {
  const LayerProblem problem = random_problem(12, 72, 3);
  for (const Rule rule : kRules) {
    const Result result = run(problem, rule);
    for (int64_t r = 0; r < 12; ++r) {
      double objective = 0;
      for (int64_t i = 0; i < 72; ++i) {
        const double e =
            static_cast<double>(result.weights[r * 72 + i]) - problem.weights[r * 72 + i];
        for (int64_t j = 0; j < 72; ++j)
          objective +=
              e * problem.hessian[i * 72 + j] *
              (static_cast<double>(result.weights[r * 72 + j]) - problem.weights[r * 72 + j]);
      }
      // 72 fused updates of relative rounding 2^-24, U in fp32 with the condition of H (some 1e3).
      EXPECT_NEAR(result.loss[r], objective, 72 * 0x1p-24 * 128 * objective) << rule.group;
    }
  }
}

TEST(MaskSweep, UncorrelatedInputsMoveNothing) {
  LayerProblem problem = random_problem(6, 24, 4);
  problem.hessian.assign(24 * 24, 0.0);
  for (int64_t i = 0; i < 24; ++i) problem.hessian[i * 25] = 2.0;
  const Result result = run(problem, {2, 4});
  for (size_t i = 0; i < result.mask.size(); ++i)
    EXPECT_EQ(result.weights[i], result.mask[i] ? problem.weights[i] : 0.0f);
  for (int64_t g = 0; g < 6 * 24; g += 4) {  // the two largest are kept
    float smallest_kept = INFINITY, largest_cut = 0;
    for (int64_t i = g; i < g + 4; ++i) {
      const float size = std::fabs(problem.weights[i]);
      (result.mask[i] ? smallest_kept : largest_cut) =
          result.mask[i] ? std::min(smallest_kept, size) : std::max(largest_cut, size);
    }
    EXPECT_GE(smallest_kept, largest_cut);
  }
}

TEST(MaskSweep, TiesKeepTheLowerColumn) {
  LayerProblem problem = random_problem(17, 8, 5);
  problem.hessian.assign(64, 0.0);
  for (int64_t i = 0; i < 8; ++i) problem.hessian[i * 9] = 1.0;
  problem.weights.assign(17 * 8, 0.5f);
  for (const MaskSweepKernel& kernel : mask_sweep_kernels()) {
    if (!kernel.available()) continue;
    const Result result = run(problem, {2, 4}, kernel.run);
    for (size_t i = 0; i < result.mask.size(); ++i)
      EXPECT_EQ(result.mask[i], i % 4 < 2) << kernel.name;
  }
}

TEST(MaskSweep, ThreadsDoNotMatter) {
  const LayerProblem problem = random_problem(70, 72, 6);
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const Result one = run(problem, {2, 4});
  omp_set_num_threads(3);
  const Result three = run(problem, {2, 4});
  omp_set_num_threads(before);
  EXPECT_EQ(one, three);
}

TEST(MaskSweep, ContradictionsAreRefused) {
  const LayerProblem problem = random_problem(2, 24, 7);
  EXPECT_THROW(run(problem, {2, 5}), std::invalid_argument);   // 24 is no multiple
  EXPECT_THROW(run(problem, {4, 4}), std::invalid_argument);   // keeps all
  EXPECT_THROW(run(problem, {0, 4}), std::invalid_argument);   // keeps none
  EXPECT_THROW(run(problem, {1, 48}), std::invalid_argument);  // too wide
  Result result{problem.weights, std::vector<float>(48), std::vector<uint8_t>(48), {0, 0}};
  const std::vector<float> factor(24 * 24, 1.0f);
  MaskSweep sweep = whole(problem, factor, {2, 4}, result);
  sweep.errors = nullptr;
  EXPECT_THROW(mask_sweep(sweep), std::invalid_argument);
  sweep = whole(problem, factor, {2, 4}, result);
  sweep.mask_stride = 23;
  EXPECT_THROW(mask_sweep(sweep), std::invalid_argument);
}

}  // namespace
}  // namespace frugal::kernels
