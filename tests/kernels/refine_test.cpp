#include "kernels/refine.h"

#include <cmath>
#include <stdexcept>

#include "grid/half.h"
#include "layer_problem.h"
#include "support/openmp.h"

namespace frugal::kernels {
namespace {

// (No mxfp4: a refit moves no scale to the next power of two.)
constexpr const char* kGrids[] = {
    "q4_0",          "q8_0",     "iq4_nl", "q4_k", "int4:g64", "int4:g16:asym",
    "int8:row:asym", "q4_1",     "q5_0",   "q5_1", "q2_k",     "q3_k",
    "q5_k",          "q6_k",     "nf4",    "fp8",  "int2:g64", "int3:g64:asym",
    "int2:row:asym", "int3:row", "nvfp4",  "q2_0", "tq2_0"};

RefineProblem refine_problem(const LayerProblem& problem, grid::QuantizedMatrix& matrix) {
  return {.grid = matrix.grid.get(),
          .rows = problem.rows,
          .columns = problem.columns,
          .target = problem.weights.data(),
          .target_stride = problem.columns,
          .hessian = problem.hessian_f.data(),
          .hessian_stride = problem.columns,
          .codes = matrix.codes.data(),
          .codes_stride = problem.columns,
          .parameters = matrix.parameters.data(),
          .parameters_stride = matrix.blocks_per_row() * matrix.grid->spec().parameter_bytes,
          .row_objective = nullptr};
}

grid::QuantizedMatrix nearest(const LayerProblem& problem,
                              const std::shared_ptr<const grid::Grid>& grid) {
  return *grid::round_to_nearest(grid, problem.weights.data(), problem.rows, problem.columns,
                                 problem.importance, true);
}

// What fp32 leaves of an objective E G: 256 columns of E and G, G being sums of 256 terms with
// relative rounding 2^-24 that cancel by the condition of the problem (some 1e3 here).
constexpr double kRounding = 256 * 0x1p-24 * 64;

TEST(Refine, EveryImplementationGivesTheSameBits) {
  const LayerProblem problem = random_problem(21, 256, 1);
  for (const char* name : kGrids) {
    const grid::QuantizedMatrix start = nearest(problem, grid_or_die(name, 256));
    grid::QuantizedMatrix expected = start;
    const RefineReport reference =
        refine_kernels().back().run(refine_problem(problem, expected), {});
    EXPECT_GT(reference.codes_changed, 0) << name;
    EXPECT_GT(reference.groups_refit, 0) << name;
    for (const RefineKernel& kernel : refine_kernels()) {
      if (!kernel.available()) continue;
      grid::QuantizedMatrix found = start;
      const RefineReport report = kernel.run(refine_problem(problem, found), {});
      EXPECT_EQ(found.codes, expected.codes) << name << " " << kernel.name;
      EXPECT_EQ(found.parameters, expected.parameters) << name << " " << kernel.name;
      EXPECT_EQ(report.objective_before, reference.objective_before) << name << " " << kernel.name;
      EXPECT_EQ(report.objective_after, reference.objective_after) << name << " " << kernel.name;
      EXPECT_EQ(report.codes_changed, reference.codes_changed) << name << " " << kernel.name;
      EXPECT_EQ(report.groups_refit, reference.groups_refit) << name << " " << kernel.name;
    }
  }
}

TEST(Refine, OddRowsAndGroupsGiveTheSameBits) {
  for (const auto& [name, columns] : std::initializer_list<std::pair<const char*, int64_t>>{
           {"int4:row", 44}, {"int4:g24", 72}, {"int3:g5:asym", 55}, {"int8:g2", 38}}) {
    const LayerProblem problem = random_problem(3, columns, 2);
    const grid::QuantizedMatrix start = nearest(problem, grid_or_die(name, columns));
    grid::QuantizedMatrix expected = start;
    refine_kernels().back().run(refine_problem(problem, expected), {});
    EXPECT_LT(total(row_objectives(problem, expected)), total(row_objectives(problem, start)));
    for (const RefineKernel& kernel : refine_kernels()) {
      if (!kernel.available()) continue;
      grid::QuantizedMatrix found = start;
      kernel.run(refine_problem(problem, found), {});
      EXPECT_EQ(found.codes, expected.codes) << name << " " << kernel.name;
      EXPECT_EQ(found.parameters, expected.parameters) << name << " " << kernel.name;
    }
  }
}

// After a sweep and from round-to-nearest alike, no row may end higher, each kind of step for
// itself.
TEST(Refine, NoRowGetsWorse) {
  const LayerProblem problem = random_problem(24, 256, 3);
  for (const char* name : kGrids) {
    const auto grid = grid_or_die(name, 256);
    const auto order = group_aware_order(problem, grid->spec().block_columns);
    const grid::QuantizedMatrix starts[] = {
        nearest(problem, grid), solve(problem, grid, {.order = order, .window = 256}).matrix};
    for (const grid::QuantizedMatrix& start : starts) {
      for (const RefineOptions options : {RefineOptions{1, 0}, {0, 1}, {3, 2}, {0, 0}}) {
        grid::QuantizedMatrix matrix = start;
        std::vector<double> reported(24);
        RefineProblem task = refine_problem(problem, matrix);
        task.row_objective = reported.data();
        const RefineReport report = refine(task, options);
        const std::vector<double> before = row_objectives(problem, start);
        const std::vector<double> after = row_objectives(problem, matrix);
        for (int64_t r = 0; r < 24; ++r) {
          EXPECT_LE(after[r], before[r] * (1 + kRounding)) << name << " row " << r;
          EXPECT_NEAR(reported[r], after[r], kRounding * before[r]) << name << " row " << r;
        }
        EXPECT_NEAR(report.objective_before, total(before), kRounding * total(before));
        EXPECT_NEAR(report.objective_after, total(reported), 1e-12 * total(before));
        if (options.sweeps + options.refits == 0) {
          EXPECT_EQ(matrix.codes, start.codes);
          EXPECT_EQ(matrix.parameters, start.parameters);
        } else {
          EXPECT_LT(total(after), total(before)) << name << ": nothing gained";
        }
      }
    }
  }
}

TEST(Refine, ScalesAndCodesTogetherGainMore) {
  const LayerProblem problem = random_problem(24, 256, 4);
  for (const char* name : {"q4_0", "iq4_nl", "q4_k", "int4:g32:asym"}) {
    const auto grid = grid_or_die(name);
    const auto order = group_aware_order(problem, grid->spec().block_columns);
    const grid::QuantizedMatrix start =
        solve(problem, grid, {.order = order, .window = 256}).matrix;
    grid::QuantizedMatrix codes = start;
    grid::QuantizedMatrix both = start;
    const double codes_only =
        refine(refine_problem(problem, codes), {.sweeps = 3, .refits = 0}).objective_after;
    const double together =
        refine(refine_problem(problem, both), {.sweeps = 3, .refits = 2}).objective_after;
    EXPECT_LT(together, codes_only) << name;
    RecordProperty((std::string(name) + "_codes").c_str(),
                   std::to_string(codes_only / total(row_objectives(problem, start))));
    RecordProperty((std::string(name) + "_both").c_str(),
                   std::to_string(together / total(row_objectives(problem, start))));
  }
}

TEST(Refine, UncorrelatedInputsLeaveNearestCodes) {
  LayerProblem problem = random_problem(5, 64, 5);
  problem.hessian_f.assign(64 * 64, 0.0f);
  for (int64_t i = 0; i < 64; ++i) problem.hessian_f[i * 65] = 2.0f;
  for (const char* name : {"q4_0", "iq4_nl", "int8:g16:asym"}) {
    const grid::QuantizedMatrix start = nearest(problem, grid_or_die(name));
    grid::QuantizedMatrix matrix = start;
    EXPECT_EQ(refine(refine_problem(problem, matrix), {.sweeps = 2, .refits = 0}).codes_changed, 0)
        << name;
    EXPECT_EQ(matrix.codes, start.codes);
  }
}

TEST(Refine, ScaleIsTheLeastSquaresOptimum) {
  LayerProblem problem = random_problem(4, 32, 6);
  const auto grid = grid_or_die("q4_0");
  grid::QuantizedMatrix matrix = nearest(problem, grid);
  for (int64_t r = 0; r < 4; ++r) grid->multiply(1.07f, 1, matrix.block_parameters(r, 0));
  refine(refine_problem(problem, matrix), {.sweeps = 0, .refits = 1});
  for (int64_t r = 0; r < 4; ++r) {
    double numerator = 0, denominator = 0;
    for (int64_t i = 0; i < 32; ++i) {
      const double t = grid->spec().levels[matrix.codes[r * 32 + i]];
      for (int64_t j = 0; j < 32; ++j) {
        const double h = problem.hessian[i * 32 + j];
        numerator += t * h * problem.weights[r * 32 + j];
        denominator += t * h * grid->spec().levels[matrix.codes[r * 32 + j]];
      }
    }
    float scale, offset;
    grid->expand(matrix.block_parameters(r, 0), &scale, &offset);
    const double optimum = numerator / denominator;
    EXPECT_NEAR(scale, optimum, std::fabs(optimum) * (0x1p-11 + kRounding));  // fp16, and fp32 sums
  }
}

TEST(Refine, NeverBelowTheBruteForceOptimum) {
  const auto grid = grid_or_die("int4:row", 4);
  double start_total = 0, found_total = 0, best_total = 0;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const LayerProblem problem = random_problem(1, 4, 300 + seed);
    grid::QuantizedMatrix matrix = nearest(problem, grid);
    const double start = row_objectives(problem, matrix)[0];
    refine(refine_problem(problem, matrix), {.sweeps = 5, .refits = 0});
    const double found = row_objectives(problem, matrix)[0];
    const double best = best_objective(problem, *grid, matrix.parameters.data());
    EXPECT_GE(found, best * (1 - 1e-9));
    start_total += start;
    found_total += found;
    best_total += best;
  }
  // Near it, too: it started at 2.7 times the optimum.
  EXPECT_LT(found_total, 1.5 * best_total);
  EXPECT_LT(found_total, 0.6 * start_total);
}

TEST(Refine, ThreadsAndSlicesDoNotMatter) {
  const LayerProblem problem = random_problem(40, 256, 7);
  const grid::QuantizedMatrix start = nearest(problem, grid_or_die("q4_k"));
  grid::QuantizedMatrix whole = start;
  grid::QuantizedMatrix single = start;
  grid::QuantizedMatrix slices = start;
  refine(refine_problem(problem, whole), {});
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  refine(refine_problem(problem, single), {});
  omp_set_num_threads(before);
  for (int64_t row = 0; row < 40; row += 7) {
    RefineProblem task = refine_problem(problem, slices);
    task.rows = std::min<int64_t>(7, 40 - row);
    task.target += row * task.target_stride;
    task.codes += row * task.codes_stride;
    task.parameters += row * task.parameters_stride;
    refine(task, {});
  }
  EXPECT_EQ(whole.codes, single.codes);
  EXPECT_EQ(whole.parameters, single.parameters);
  EXPECT_EQ(whole.codes, slices.codes);
  EXPECT_EQ(whole.parameters, slices.parameters);
}

TEST(Refine, DamagedRowsAreLeftAlone) {
  LayerProblem problem = random_problem(2, 64, 8);
  grid::QuantizedMatrix start = nearest(problem, grid_or_die("q4_0"));
  problem.weights[5] = std::nanf("");
  grid::QuantizedMatrix matrix = start;
  refine(refine_problem(problem, matrix), {});
  for (int64_t i = 0; i < 64; ++i) EXPECT_EQ(matrix.codes[i], start.codes[i]);
}

constexpr const char* kZeroGrids[] = {"q4_0", "int4:g64", "int4:g16:asym", "int8:row:asym"};

struct Masked {
  std::vector<uint8_t> mask;
  grid::QuantizedMatrix start;
};

Masked masked_start(const LayerProblem& problem, const std::shared_ptr<const grid::Grid>& grid) {
  Masked result{random_mask(problem.rows, problem.columns, 31), {}};
  const auto order = group_aware_order(problem, grid->spec().block_columns);
  result.start =
      solve(problem, grid,
            {.order = order, .window = problem.columns, .fit = true, .mask = result.mask})
          .matrix;
  return result;
}

RefineProblem masked_problem(const LayerProblem& problem, const std::vector<uint8_t>& mask,
                             grid::QuantizedMatrix& matrix) {
  RefineProblem task = refine_problem(problem, matrix);
  task.mask = mask.data();
  task.mask_stride = problem.columns;
  return task;
}

TEST(RefineMask, EveryImplementationGivesTheSameBits) {
  const LayerProblem problem = random_problem(21, 256, 31);
  for (const char* name : kZeroGrids) {
    const Masked masked = masked_start(problem, grid_or_die(name, 256));
    grid::QuantizedMatrix expected = masked.start;
    const RefineReport reference =
        refine_kernels().back().run(masked_problem(problem, masked.mask, expected), {});
    EXPECT_GT(reference.groups_refit, 0) << name;
    for (const RefineKernel& kernel : refine_kernels()) {
      if (!kernel.available()) continue;
      grid::QuantizedMatrix found = masked.start;
      const RefineReport report = kernel.run(masked_problem(problem, masked.mask, found), {});
      EXPECT_EQ(found.codes, expected.codes) << name << " " << kernel.name;
      EXPECT_EQ(found.parameters, expected.parameters) << name << " " << kernel.name;
      EXPECT_EQ(report.objective_after, reference.objective_after) << name << " " << kernel.name;
    }
  }
}

TEST(RefineMask, AllOnesChangeNothing) {
  const LayerProblem problem = random_problem(21, 256, 32);
  const std::vector<uint8_t> ones(21 * 256, 1);
  for (const char* name : kZeroGrids) {
    const grid::QuantizedMatrix start = nearest(problem, grid_or_die(name, 256));
    for (const RefineKernel& kernel : refine_kernels()) {
      if (!kernel.available()) continue;
      grid::QuantizedMatrix plain = start, masked = start;
      kernel.run(refine_problem(problem, plain), {});
      kernel.run(masked_problem(problem, ones, masked), {});
      EXPECT_EQ(masked.codes, plain.codes) << name << " " << kernel.name;
      EXPECT_EQ(masked.parameters, plain.parameters) << name << " " << kernel.name;
    }
  }
}

// No row ends higher, the report is true, and what was zero is zero, though zero points have moved.
TEST(RefineMask, PinnedWeightsStayAtZeroWhileTheObjectiveFalls) {
  const LayerProblem problem = random_problem(24, 256, 33);
  for (const char* name : kZeroGrids) {
    const Masked masked = masked_start(problem, grid_or_die(name, 256));
    for (const RefineOptions options : {RefineOptions{1, 0}, {0, 1}, {3, 2}}) {
      grid::QuantizedMatrix matrix = masked.start;
      std::vector<double> reported(24);
      RefineProblem task = masked_problem(problem, masked.mask, matrix);
      task.row_objective = reported.data();
      refine(task, options);
      const std::vector<double> before = row_objectives(problem, masked.start);
      const std::vector<double> after = row_objectives(problem, matrix);
      for (int64_t r = 0; r < 24; ++r) {
        EXPECT_LE(after[r], before[r] * (1 + kRounding)) << name << " row " << r;
        EXPECT_NEAR(reported[r], after[r], kRounding * before[r]) << name << " row " << r;
      }
      EXPECT_LT(total(after), total(before)) << name;
      std::vector<float> decoded(24 * 256);
      grid::decode_matrix(matrix, decoded.data());
      for (size_t i = 0; i < masked.mask.size(); ++i) {
        if (masked.mask[i] != 0) continue;
        ASSERT_EQ(decoded[i], 0.0f) << name << " " << i;
      }
    }
  }
}

// A zero point that must move: the block starts with a shifted one.
TEST(RefineMask, CodesOfPinnedWeightsFollowTheZeroPoint) {
  const LayerProblem problem = random_problem(16, 32, 34);
  const auto grid = grid_or_die("int8:g32:asym");
  std::vector<uint8_t> mask = random_mask(16, 32, 34);
  grid::QuantizedMatrix matrix =
      solve(problem, grid, {.order = identity_order(32), .window = 32, .fit = true, .mask = mask})
          .matrix;
  int moved = 0;
  for (int64_t r = 0; r < 16; ++r) {
    std::byte* const parameters = matrix.block_parameters(r, 0);
    const int zero = static_cast<int>(parameters[2]);
    parameters[2] = static_cast<std::byte>(zero > 8 ? zero - 8 : zero + 8);
    for (int64_t i = 0; i < 32; ++i) {
      if (mask[r * 32 + i] == 0) matrix.codes[r * 32 + i] = static_cast<uint8_t>(parameters[2]);
    }
  }
  const grid::QuantizedMatrix start = matrix;
  refine(masked_problem(problem, mask, matrix), {.sweeps = 0, .refits = 1});
  for (int64_t r = 0; r < 16; ++r) {
    moved += matrix.block_parameters(r, 0)[2] != start.block_parameters(r, 0)[2];
    for (int64_t i = 0; i < 32; ++i) {
      if (mask[r * 32 + i] != 0) continue;
      EXPECT_EQ(matrix.codes[r * 32 + i], static_cast<uint8_t>(matrix.block_parameters(r, 0)[2]));
    }
  }
  EXPECT_GT(moved, 0);
}

TEST(RefineMask, ContradictionsAreRefused) {
  const LayerProblem problem = random_problem(2, 256, 35);
  const std::vector<uint8_t> mask = random_mask(2, 256, 35);
  for (const char* name : {"iq4_nl", "q4_0"}) {  // no zero; codes that are not zero yet
    grid::QuantizedMatrix matrix = nearest(problem, grid_or_die(name));
    EXPECT_THROW(refine(masked_problem(problem, mask, matrix), {}), std::invalid_argument) << name;
  }
  grid::QuantizedMatrix matrix = nearest(problem, grid_or_die("q4_0"));
  RefineProblem task = masked_problem(problem, mask, matrix);
  task.mask_stride = 255;
  EXPECT_THROW(refine(task, {}), std::invalid_argument);
}

TEST(Refine, ContradictionsAreRefused) {
  LayerProblem problem = random_problem(2, 64, 9);
  grid::QuantizedMatrix matrix = nearest(problem, grid_or_die("q4_0"));
  RefineProblem task = refine_problem(problem, matrix);
  task.columns = 40;
  EXPECT_THROW(refine(task, {}), std::invalid_argument);
  task = refine_problem(problem, matrix);
  task.target = nullptr;
  EXPECT_THROW(refine(task, {}), std::invalid_argument);
  task = refine_problem(problem, matrix);
  task.hessian_stride = 63;
  EXPECT_THROW(refine(task, {}), std::invalid_argument);
  problem.hessian_f[65] = 0;
  try {
    refine(refine_problem(problem, matrix), {});
    FAIL() << "a diagonal entry of 0 was accepted";
  } catch (const std::invalid_argument& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("entry 1 is 0"));
  }
}

}  // namespace
}  // namespace frugal::kernels
