#include "kernels/mask_sweep.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <stdexcept>

#include "kernels/mask_sweep_kernels.h"
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

TEST(MaskSweepKernels, EveryBuildIsInTheTable) {
  EXPECT_EQ(mask_sweep_kernels().back().run, &mask_sweep_reference);
  EXPECT_TRUE(mask_sweep_kernels().back().available());
#if FRUGAL_X86_TARGETS
  ASSERT_EQ(mask_sweep_kernels().size(), 3u);
  EXPECT_EQ(mask_sweep_kernels()[0].run, &mask_sweep_avx512);
  EXPECT_EQ(mask_sweep_kernels()[0].available(), grid::has_avx512());
  EXPECT_EQ(mask_sweep_kernels()[1].run, &mask_sweep_avx2);
  EXPECT_EQ(mask_sweep_kernels()[1].available(), grid::has_avx2());
#else
  EXPECT_EQ(mask_sweep_kernels().size(), 1u);
#endif
}

// Rows and columns that fill no tile, in strides wider than the window; what lies between the rows
// stays.
TEST(MaskSweepKernels, OddSizesGiveTheSameBitsAndTouchNothingElse) {
  constexpr int64_t kStride = 40;
  for (const int64_t width : {0, 1, 7, 24, 33}) {
    const std::vector<float> factor =
        width == 0 ? std::vector<float>(1)
                   : inverse_factor(random_problem(1, width, 8).hessian, identity_order(width));
    for (const int64_t rows : {0, 1, 15, 16, 17}) {
      const auto swept = [&](void (*run)(const MaskSweep&)) {
        Result result{std::vector<float>(18 * kStride), std::vector<float>(18 * kStride, -5),
                      random_mask(18, kStride, 9), std::vector<double>(18, 1.5)};
        for (size_t i = 0; i < result.weights.size(); ++i)
          result.weights[i] = static_cast<float>(static_cast<int>(i * 37 % 101) - 50) / 64;
        run({.rows = rows,
             .width = width,
             .weights = result.weights.data(),
             .weights_stride = kStride,
             .factor = factor.data(),
             .factor_stride = width,
             .mask = result.mask.data(),
             .mask_stride = kStride,
             .group = width == 24 ? 8 : 0,
             .kept = width == 24 ? 3 : 0,
             .errors = result.errors.data(),
             .errors_stride = kStride,
             .row_loss = result.loss.data()});
        return result;
      };
      const Result expected = swept(mask_sweep_reference);
      for (int64_t r = 0; r < 18; ++r) {
        if (r >= rows) {
          EXPECT_EQ(expected.loss[r], 1.5);
        }
        for (int64_t p = r < rows ? width : 0; p < kStride; ++p) {
          ASSERT_EQ(expected.errors[r * kStride + p], -5) << rows << " x " << width;
          ASSERT_EQ(expected.mask[r * kStride + p], random_mask(18, kStride, 9)[r * kStride + p]);
        }
      }
      for (const MaskSweepKernel& kernel : mask_sweep_kernels()) {
        if (!kernel.available()) continue;
        EXPECT_EQ(swept(kernel.run), expected) << kernel.name << " " << rows << " x " << width;
      }
    }
  }
}

// A tile of sixteen rows as a build sees it, and what is stored of its answer.
TEST(MaskSweepKernels, TilesHoldSixteenRowsEach) {
  constexpr int64_t kRows = 18, kWidth = 2;
  std::vector<float> weights(kRows * kWidth), errors(kRows * kWidth, 9);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i + 1);
  std::vector<uint8_t> mask(kRows * kWidth, 1);
  mask[2 * kWidth + 1] = 0;
  std::vector<double> loss(kRows, 0.0);
  const std::vector<float> factor = {1, 0, 0, 1};
  const MaskSweep sweep{.rows = kRows,
                        .width = kWidth,
                        .weights = weights.data(),
                        .weights_stride = kWidth,
                        .factor = factor.data(),
                        .factor_stride = kWidth,
                        .mask = mask.data(),
                        .mask_stride = kWidth,
                        .errors = errors.data(),
                        .errors_stride = kWidth,
                        .row_loss = loss.data()};
  // Weights come back doubled, with errors of -weight; idle lanes of the second tile hold zeros
  // that are kept.
  static std::atomic<int64_t> idle_lanes = 0;
  mask_sweep_tiles(sweep, [](const MaskSweep& whole, MaskTile& tile) {
    for (int64_t i = 0; i < whole.width * kMaskRows; ++i) {
      idle_lanes += tile.weights[i] == 0 && tile.kept[i] == 1;
      tile.negated[i] = tile.weights[i];
      tile.weights[i] *= tile.kept[i] == 0 ? 0 : 2;
    }
  });
  EXPECT_EQ(idle_lanes, (2 * kMaskRows - kRows) * kWidth);
  for (int64_t i = 0; i < kRows * kWidth; ++i) {
    const auto before = static_cast<float>(i + 1);
    EXPECT_EQ(weights[i], mask[i] == 0 ? 0 : 2 * before) << i;
    EXPECT_EQ(errors[i], -before) << i;
  }
  for (int64_t r = 0; r < kRows; ++r) {
    const auto first = static_cast<double>(r * kWidth + 1);
    EXPECT_EQ(loss[r], first * first + (first + 1) * (first + 1)) << r;
  }
}

TEST(MaskSweepKernels, ContradictionsAreNamed) {
  float value = 1;
  uint8_t bit = 1;
  const MaskSweep good{.rows = 1,
                       .width = 1,
                       .weights = &value,
                       .weights_stride = 1,
                       .factor = &value,
                       .factor_stride = 1,
                       .mask = &bit,
                       .mask_stride = 1,
                       .errors = &value,
                       .errors_stride = 1};
  EXPECT_NO_THROW(check_mask_sweep(good));
  EXPECT_NO_THROW(check_mask_sweep({.rows = 0, .width = 4}));
  const auto refused = [](const MaskSweep& sweep) -> std::string {
    try {
      check_mask_sweep(sweep);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "accepted";
  };
  MaskSweep bad = good;
  bad.rows = -1;
  EXPECT_EQ(refused(bad), "mask_sweep: negative rows or width");
  for (float* MaskSweep::* const pointer : {&MaskSweep::weights, &MaskSweep::errors}) {
    bad = good;
    bad.*pointer = nullptr;
    EXPECT_EQ(refused(bad), "mask_sweep: a required pointer is null");
  }
  for (int64_t MaskSweep::* const stride : {&MaskSweep::weights_stride, &MaskSweep::factor_stride,
                                            &MaskSweep::mask_stride, &MaskSweep::errors_stride}) {
    bad = good;
    bad.*stride = 0;
    EXPECT_EQ(refused(bad), "mask_sweep: a row stride is smaller than the width 1");
  }
  bad = good;
  bad.group = 2, bad.kept = 1;
  EXPECT_EQ(
      refused(bad),
      "mask_sweep: 1 of every 2 columns in a window of 1: groups have 2 to 32 columns, divide "
      "the window and keep some, not all");
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
