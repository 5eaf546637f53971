#include "kernels/sweep.h"

#include <cmath>
#include <stdexcept>

#include "layer_problem.h"
#include "support/openmp.h"

namespace frugal::kernels {
namespace {

constexpr const char* kGrids[] = {
    "q4_0",          "q8_0",     "iq4_nl", "q4_k",  "int4:g64", "int4:g16:asym",
    "int8:row",      "q4_1",     "q5_0",   "q5_1",  "q2_k",     "q3_k",
    "q5_k",          "q6_k",     "nf4",    "fp8",   "int2:g64", "int3:g64:asym",
    "int2:row:asym", "int3:row", "mxfp4",  "nvfp4", "q2_0",     "tq2_0"};

// On host memory; cuda_sweep_test.cpp has those that want device memory.
bool runs_here(const SweepKernel& kernel) {
  return kernel.device == Device::kCpu && kernel.available();
}

void expect_same(const Solution& a, const Solution& b, const std::string& what) {
  EXPECT_EQ(a.matrix.codes, b.matrix.codes) << what;
  EXPECT_EQ(a.matrix.parameters, b.matrix.parameters) << what;
  EXPECT_EQ(a.row_loss, b.row_loss) << what;
}

TEST(Sweep, EveryImplementationGivesTheSameBits) {
  const LayerProblem problem = random_problem(37, 256, 1);
  for (const char* name : kGrids) {
    const auto grid = grid_or_die(name, 256);
    for (const bool fit : {true, false}) {
      const SolveOptions options{.order = group_aware_order(problem, grid->spec().block_columns),
                                 .window = 256,
                                 .fit = fit};
      const Solution reference = solve(problem, grid, options, sweep_kernels().back().run);
      for (const SweepKernel& kernel : sweep_kernels()) {
        if (runs_here(kernel))
          expect_same(solve(problem, grid, options, kernel.run), reference, kernel.name);
      }
      expect_same(solve(problem, grid, options), reference, name);
    }
  }
}

TEST(Sweep, OddSizesGiveTheSameBits) {
  for (const auto& [name, columns] : std::initializer_list<std::pair<const char*, int64_t>>{
           {"int4:row", 44}, {"int4:g24", 72}, {"int3:g5:asym", 55}, {"int8:g2", 38}}) {
    const LayerProblem problem = random_problem(5, columns, 2);
    const auto grid = grid_or_die(name, columns);
    const int64_t block = grid->spec().block_columns;
    for (const int64_t window : {int64_t{1}, int64_t{7}, int64_t{13}, block, 2 * block, columns}) {
      for (const bool fit : {true, false}) {
        if (fit && (window % block != 0 || window > columns)) continue;
        const SolveOptions options{
            .order = group_aware_order(problem, block), .window = window, .fit = fit};
        const Solution reference = solve(problem, grid, options, sweep_kernels().back().run);
        for (const SweepKernel& kernel : sweep_kernels()) {
          if (runs_here(kernel))
            expect_same(solve(problem, grid, options, kernel.run), reference, kernel.name);
        }
      }
    }
  }
}

TEST(Sweep, WindowWidthDoesNotMatter) {
  const LayerProblem problem = random_problem(20, 256, 3);
  for (const char* name : {"q4_0", "iq4_nl", "q4_k"}) {
    const auto grid = grid_or_die(name);
    const auto order = group_aware_order(problem, grid->spec().block_columns);
    for (const bool fit : {false, true}) {
      const Solution whole = solve(problem, grid, {.order = order, .window = 256, .fit = fit});
      for (const int64_t window : {1, 8, 32, 96, 128}) {
        if (fit && window % grid->spec().block_columns != 0) continue;
        const Solution parts = solve(problem, grid, {.order = order, .window = window, .fit = fit});
        EXPECT_EQ(parts.matrix.codes, whole.matrix.codes) << name << " " << window;
        EXPECT_EQ(parts.matrix.parameters, whole.matrix.parameters) << name << " " << window;
      }
    }
  }
}

TEST(Sweep, BlocksWiderThanTheWindowAreFittedFirst) {
  const LayerProblem problem = random_problem(6, 96, 4);
  const auto grid = grid_or_die("int4:row:asym", 96);
  const auto order = group_aware_order(problem, 96);
  const Solution inside = solve(problem, grid, {.order = order, .window = 96, .fit = true});
  const Solution before = solve(problem, grid, {.order = order, .window = 32, .fit = false});
  EXPECT_EQ(before.matrix.codes, inside.matrix.codes);
  EXPECT_EQ(before.matrix.parameters, inside.matrix.parameters);
}

TEST(Sweep, UncorrelatedInputsAreRoundToNearest) {
  LayerProblem problem = random_problem(10, 256, 5);
  problem.hessian.assign(256 * 256, 0.0);
  for (int64_t i = 0; i < 256; ++i) problem.hessian[i * 257] = 3.0;
  problem.importance.assign(256, 3.0f);
  for (const char* name : kGrids) {
    const auto grid = grid_or_die(name, 256);
    const Solution swept =
        solve(problem, grid, {.order = identity_order(256), .window = 256, .fit = true});
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        const auto nearest,
        grid::round_to_nearest(grid, problem.weights.data(), 10, 256, problem.importance, true));
    EXPECT_EQ(swept.matrix.codes, nearest.codes) << name;
    EXPECT_EQ(swept.matrix.parameters, nearest.parameters) << name;
  }
}

// Sum of squared errors = tr(dW (H + lambda I) dW^T), row by row.
TEST(Sweep, LossIsTheObjective) {
  const LayerProblem problem = random_problem(12, 256, 6);
  for (const char* name : {"q4_0", "iq4_nl", "q4_k", "int8:g32:asym"}) {
    const auto grid = grid_or_die(name);
    const auto order = group_aware_order(problem, grid->spec().block_columns);
    const Solution solution = solve(problem, grid, {.order = order, .window = 256, .fit = true});
    const std::vector<double> objectives = row_objectives(problem, solution.matrix);
    // 256 fused updates of relative rounding 2^-24 of the weights (largest 0.2) against errors of a
    // step: for 8 bits a step is 1/128 of them. U in fp32 has relative rounding 2^-24 times the
    // condition of H (some 1e3).
    const double relative = 256 * 0x1p-24 * 128;
    for (int64_t r = 0; r < 12; ++r)
      EXPECT_NEAR(solution.row_loss[r], objectives[r], relative * objectives[r]) << name;
  }
}

TEST(Sweep, BeatsRoundToNearestOnAverage) {
  for (const char* name : {"q4_0", "iq4_nl", "q4_k"}) {
    const auto grid = grid_or_die(name);
    double swept = 0, fixed = 0, nearest = 0;
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const int64_t columns = grid->spec().block_columns == 256 ? 256 : 64;
      const LayerProblem problem = random_problem(4, columns, 100 + seed);
      const auto order = group_aware_order(problem, grid->spec().block_columns);
      swept += total(row_objectives(
          problem, solve(problem, grid, {.order = order, .window = columns}).matrix));
      fixed += total(row_objectives(
          problem, solve(problem, grid, {.order = order, .window = columns, .fit = false}).matrix));
      nearest += total(
          row_objectives(problem, *grid::round_to_nearest(grid, problem.weights.data(), 4, columns,
                                                          problem.importance, true)));
    }
    EXPECT_LT(fixed, nearest) << name;
    EXPECT_LT(swept, nearest) << name;
  }
}

TEST(Sweep, NeverBelowTheBruteForceOptimum) {
  const auto grid = grid_or_die("int4:row", 4);
  double swept_total = 0, best_total = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const LayerProblem problem = random_problem(1, 4, 200 + seed);
    const Solution solution =
        solve(problem, grid, {.order = identity_order(4), .window = 4, .fit = false});
    const double swept = row_objectives(problem, solution.matrix)[0];
    const double best = best_objective(problem, *grid, solution.matrix.parameters.data());
    EXPECT_GE(swept, best * (1 - 1e-9));
    swept_total += swept;
    best_total += best;
  }
  EXPECT_LT(swept_total,
            3 * best_total);  // near it, too: rounding to nearest is far worse on correlated inputs
}

TEST(Sweep, ProcessingOrderIsUndoneInTheCodes) {
  const LayerProblem problem = random_problem(9, 48, 7);
  const auto grid = grid_or_die("int8:row", 48);
  std::vector<int32_t> order = identity_order(48);
  base::RandomStream random(7, "sweep/order");
  random.shuffle(std::span<int32_t>(order));
  LayerProblem moved = problem;
  for (int64_t p = 0; p < 48; ++p) {
    moved.importance[p] = problem.importance[order[p]];
    for (int64_t r = 0; r < 9; ++r) moved.weights[r * 48 + p] = problem.weights[r * 48 + order[p]];
    for (int64_t j = 0; j < 48; ++j)
      moved.hessian[p * 48 + j] = problem.hessian[order[p] * 48 + order[j]];
  }
  // With a static plain scale (the search adds in column order), a moved matrix has moved codes.
  Solution there = solve(problem, grid, {.order = order, .window = 48, .fit = false});
  Solution here = solve(moved, grid, {.order = identity_order(48), .window = 48, .fit = false});
  ASSERT_EQ(here.matrix.parameters, there.matrix.parameters);
  for (int64_t r = 0; r < 9; ++r) {
    for (int64_t p = 0; p < 48; ++p) {
      EXPECT_EQ(here.matrix.codes[r * 48 + p], there.matrix.codes[r * 48 + order[p]]);
    }
  }
}

TEST(Sweep, ThreadsDoNotMatter) {
  const LayerProblem problem = random_problem(50, 256, 8);
  const auto grid = grid_or_die("q4_k");
  const SolveOptions options{.order = group_aware_order(problem, 256), .window = 256};
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const Solution one = solve(problem, grid, options);
  omp_set_num_threads(2);
  const Solution two = solve(problem, grid, options);
  omp_set_num_threads(before);
  expect_same(one, two, "threads");
}

TEST(Sweep, ZeroRowsStayZero) {
  LayerProblem problem = random_problem(3, 256, 9);
  std::fill_n(problem.weights.begin() + 256, 256, 0.0f);
  for (const char* name : kGrids) {
    const auto grid = grid_or_die(name, 256);
    const Solution solution = solve(problem, grid, {.order = identity_order(256), .window = 256});
    std::vector<float> decoded(3 * 256);
    grid::decode_matrix(solution.matrix, decoded.data());
    for (int64_t i = 256; i < 512; ++i) ASSERT_EQ(decoded[i], 0.0f) << name;
    EXPECT_EQ(solution.row_loss[1], 0.0) << name;
  }
}

constexpr const char* kZeroGrids[] = {"q4_0", "q8_0", "int4:g64", "int4:g16:asym", "int8:row:asym"};

TEST(SweepMask, EveryImplementationGivesTheSameBits) {
  const LayerProblem problem = random_problem(37, 256, 21);
  for (const char* name : kZeroGrids) {
    const auto grid = grid_or_die(name, 256);
    for (const bool fit : {true, false}) {
      const SolveOptions options{.order = group_aware_order(problem, grid->spec().block_columns),
                                 .window = 256,
                                 .fit = fit,
                                 .mask = random_mask(37, 256, 21)};
      const Solution reference = solve(problem, grid, options, sweep_kernels().back().run);
      for (const SweepKernel& kernel : sweep_kernels()) {
        if (kernel.available())
          expect_same(solve(problem, grid, options, kernel.run), reference, kernel.name);
      }
    }
  }
}

TEST(SweepMask, AllOnesChangeNothing) {
  const LayerProblem problem = random_problem(20, 256, 22);
  for (const char* name : kZeroGrids) {
    const auto grid = grid_or_die(name, 256);
    for (const bool fit : {true, false}) {
      SolveOptions options{.order = group_aware_order(problem, grid->spec().block_columns),
                           .window = 256,
                           .fit = fit};
      const Solution plain = solve(problem, grid, options);
      options.mask.assign(20 * 256, 1);
      expect_same(solve(problem, grid, options), plain, name);
    }
  }
}

TEST(SweepMask, PinnedWeightsAreExactlyZeroAndTheirErrorFlowsOn) {
  const LayerProblem problem = random_problem(12, 256, 23);
  const std::vector<uint8_t> mask = random_mask(12, 256, 23);
  for (const char* name : kZeroGrids) {
    const auto grid = grid_or_die(name, 256);
    const auto order = group_aware_order(problem, grid->spec().block_columns);
    const Solution swept =
        solve(problem, grid, {.order = order, .window = 256, .fit = true, .mask = mask});
    std::vector<float> decoded(12 * 256);
    grid::decode_matrix(swept.matrix, decoded.data());
    for (size_t i = 0; i < mask.size(); ++i) {
      if (mask[i] != 0) continue;
      ASSERT_EQ(decoded[i], 0.0f) << name << " " << i;
    }
    // As in LossIsTheObjective; the errors are those of whole weights, not of steps.
    const std::vector<double> objectives = row_objectives(problem, swept.matrix);
    for (int64_t r = 0; r < 12; ++r)
      EXPECT_NEAR(swept.row_loss[r], objectives[r], 256 * 0x1p-24 * 128 * objectives[r]) << name;
    // Better than zeros written into the weights and everything rounded on its own.
    LayerProblem cut = problem;
    for (size_t i = 0; i < mask.size(); ++i) cut.weights[i] *= mask[i];
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        const auto nearest,
        grid::round_to_nearest(grid, cut.weights.data(), 12, 256, problem.importance, true));
    EXPECT_LT(total(objectives), total(row_objectives(problem, nearest))) << name;
  }
}

// Scales follow the kept weights: a pinned outlier must not widen the grid.
TEST(SweepMask, ParametersAreFittedOnTheKeptWeights) {
  const LayerProblem problem = random_problem(4, 64, 24);
  LayerProblem spoiled = problem;
  std::vector<uint8_t> mask(4 * 64, 1);
  for (int64_t i = 5; i < 4 * 64; i += 32) {
    mask[i] = 0;
    spoiled.weights[i] = 100;
  }
  for (const char* name : {"q4_0", "int4:g32:asym"}) {
    const auto grid = grid_or_die(name);
    const SolveOptions options{
        .order = identity_order(64), .window = 64, .fit = false, .mask = mask};
    EXPECT_EQ(solve(problem, grid, options).matrix.parameters,
              solve(spoiled, grid, options).matrix.parameters)
        << name;
  }
}

TEST(SweepMask, GridsWithoutAZeroAreRefused) {
  const LayerProblem problem = random_problem(2, 256, 25);
  const std::vector<uint8_t> mask = random_mask(2, 256, 25);
  for (const char* name : {"iq4_nl", "q4_k"}) {
    const auto grid = grid_or_die(name);
    for (const bool fit : {true, false}) {
      EXPECT_THROW(solve(problem, grid,
                         {.order = identity_order(256), .window = 256, .fit = fit, .mask = mask}),
                   std::invalid_argument)
          << name;
    }
  }
}

// A block of 64 columns that a test may spoil.
struct Fixture {
  std::shared_ptr<const grid::Grid> grid = grid_or_die("q4_0");
  std::vector<float> weights = std::vector<float>(64, 0.5f);
  std::vector<float> factor = std::vector<float>(64 * 64, 1.0f);
  std::vector<int32_t> columns = identity_order(64);
  std::vector<uint8_t> codes = std::vector<uint8_t>(64);
  std::vector<std::byte> parameters = std::vector<std::byte>(4);
  std::vector<float> errors = std::vector<float>(64);
  SweepBlock block() {
    return {.grid = grid.get(),
            .rows = 1,
            .width = 64,
            .weights = weights.data(),
            .weights_stride = 64,
            .factor = factor.data(),
            .factor_stride = 64,
            .columns = columns.data(),
            .fit = true,
            .importance = nullptr,
            .codes = codes.data(),
            .codes_stride = 64,
            .parameters = parameters.data(),
            .parameters_stride = 4,
            .errors = errors.data(),
            .errors_stride = 64,
            .row_loss = nullptr};
  }
};

void expect_refused(const SweepBlock& block, const std::string& text) {
  for (const SweepKernel& kernel : sweep_kernels()) {
    if (!runs_here(kernel)) continue;
    try {
      kernel.run(block);
      FAIL() << kernel.name << " accepted: " << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(text));
    }
  }
}

TEST(Sweep, ContradictionsAreRefused) {
  Fixture fixture;
  EXPECT_NO_THROW(sweep(fixture.block()));
  SweepBlock block = fixture.block();
  block.width = 40;
  expect_refused(block, "must be a multiple of the grid's block of 32");
  block = fixture.block();
  block.errors = nullptr;
  expect_refused(block, "pointer is null");
  block = fixture.block();
  block.weights_stride = 63;
  expect_refused(block, "stride is smaller");
  std::swap(fixture.columns[3], fixture.columns[40]);
  expect_refused(fixture.block(), "side by side; position 3 holds column 40");
  block = fixture.block();
  block.fit = false;  // static groups may come in any order
  EXPECT_NO_THROW(sweep(block));
  fixture.columns = identity_order(64);
  fixture.columns[5] = 4;
  expect_refused(fixture.block(), "position 5 holds column 4");
}

TEST(FitBlocks, ContradictionsAreRefused) {
  Fixture fixture;
  FitBlocks fit{.grid = fixture.grid.get(),
                .rows = 1,
                .width = 64,
                .weights = fixture.weights.data(),
                .weights_stride = 64,
                .columns = fixture.columns.data(),
                .first_column = 0,
                .importance = nullptr,
                .search = true,
                .parameters = fixture.parameters.data(),
                .parameters_stride = 4};
  EXPECT_NO_THROW(fit_blocks(fit));
  fixture.columns[1] = 33;
  EXPECT_THROW(fit_blocks(fit), std::invalid_argument);
  fit.columns = nullptr;
  fit.first_column = 16;
  EXPECT_THROW(fit_blocks(fit), std::invalid_argument);
  fit.first_column = 0;
  fit.width = 33;
  EXPECT_THROW(fit_blocks(fit), std::invalid_argument);
}

}  // namespace
}  // namespace frugal::kernels
