// Sixteen rows at a time: how they are laid out, proposed to and stored.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "kernels/refine_kernels.h"
#include "layer_problem.h"

namespace frugal::kernels {
namespace {

// A matrix on a grid with codes and targets of its own at every place; a third of it is pinned on
// request, where the grid has zeros.
class RefineTileTest : public ::testing::Test {
 protected:
  void make(const char* name, int64_t rows, int64_t columns, bool pinned = false) {
    matrix = grid::empty_matrix(grid_or_die(name, columns), rows, columns);
    const grid::GridSpec& spec = matrix.grid->spec();
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t b = 0; b < matrix.blocks_per_row(); ++b) {
        const float scale = 0.5f + static_cast<float>(r) / 16, offset = -scale * 3;
        matrix.grid->snap(&scale, spec.affine ? &offset : nullptr, matrix.block_parameters(r, b));
      }
    }
    target.resize(rows * columns);
    mask.assign(pinned ? rows * columns : 0, 1);
    for (int64_t i = 0; i < rows * columns; ++i) {
      target[i] = static_cast<float>(i % 23) / 8;
      matrix.codes[i] = static_cast<uint8_t>(i % static_cast<int64_t>(spec.levels.size()));
      if (pinned && i % 3 == 0) mask[i] = 0, matrix.codes[i] = 3;
    }
    hessian.assign(columns * columns, 0.0f);
    for (int64_t i = 0; i < columns; ++i) hessian[i * (columns + 1)] = 1;
    problem = {.grid = matrix.grid.get(),
               .rows = rows,
               .columns = columns,
               .target = target.data(),
               .target_stride = columns,
               .hessian = hessian.data(),
               .hessian_stride = columns,
               .codes = matrix.codes.data(),
               .codes_stride = columns,
               .parameters = matrix.parameters.data(),
               .parameters_stride = parameter_bytes(),
               .mask = pinned ? mask.data() : nullptr,
               .mask_stride = columns};
    plan = plan_refine(problem);
  }
  int64_t parameter_bytes() const {
    return matrix.blocks_per_row() * matrix.grid->spec().parameter_bytes;
  }
  std::vector<float> decoded() const {
    std::vector<float> values(matrix.codes.size());
    grid::decode_matrix(matrix, values.data());
    return values;
  }

  grid::QuantizedMatrix matrix;
  std::vector<float> target, hessian;
  std::vector<uint8_t> mask;
  RefineProblem problem;
  RefinePlan plan;
};

TEST_F(RefineTileTest, ALaneIsARow) {
  make("int4:g16:asym", 19, 32, true);
  EXPECT_EQ(parameter_row_bytes(problem), 2 * 3);
  RefineTile tile(problem, plan);
  tile.codes_changed[2] = 7;
  tile.gradient[5] = 7;
  load_tile(problem, plan, 16, tile);  // rows 16, 17 and 18
  const std::vector<float> weights = decoded();
  for (int64_t i = 0; i < 32; ++i) {
    for (int64_t lane = 0; lane < kRefineRows; ++lane) {
      const int64_t at = i * kRefineRows + lane, row = 16 + lane, from = row * 32 + i;
      EXPECT_EQ(tile.gradient[at], 0);
      if (lane >= 3) {
        EXPECT_EQ(tile.weights[at], 0);
        EXPECT_EQ(tile.target[at], 0);
        EXPECT_EQ(tile.codes[at], 0);
        continue;
      }
      EXPECT_EQ(tile.target[at], target[from]);
      EXPECT_EQ(tile.codes[at], static_cast<float>(matrix.codes[from]));
      EXPECT_EQ(tile.weights[at], weights[from]);
      EXPECT_EQ(tile.kept[at], mask[from] != 0 ? 1.0f : 0.0f);
    }
  }
  for (int64_t group = 0; group < 2; ++group) {
    EXPECT_EQ(tile.scale[group * kRefineRows + 2], 0.5f + 18.0f / 16);
    EXPECT_EQ(tile.offset[group * kRefineRows + 2], -3 * (0.5f + 18.0f / 16));
    EXPECT_EQ(tile.inverse[group * kRefineRows + 2], grid::inverse_scale(0.5f + 18.0f / 16));
    EXPECT_EQ(tile.scale[group * kRefineRows + 3], 0);
  }
  EXPECT_EQ(tile.codes_changed[2], 0);
  make("q4_0", 1, 32);
  EXPECT_TRUE(RefineTile(problem, plan).kept.empty());
}

TEST_F(RefineTileTest, LevelsOfPinnedWeightsAreZero) {
  make("int4:g16:asym", 16, 32, true);
  RefineTile tile(problem, plan);
  load_tile(problem, plan, 0, tile);
  load_levels(problem, 16, 16, tile);
  for (int64_t i = 0; i < 16; ++i) {
    for (int64_t row = 0; row < 16; ++row) {
      const int64_t from = row * 32 + 16 + i;
      EXPECT_EQ(tile.levels[i * kRefineRows + row],
                mask[from] == 0 ? 0.0f : static_cast<float>(matrix.codes[from]));
    }
  }
  make("q4_0", 16, 32);
  RefineTile plain(problem, plan);
  load_tile(problem, plan, 0, plain);
  load_levels(problem, 0, 32, plain);
  EXPECT_EQ(plain.levels[5 * kRefineRows + 1], matrix.grid->spec().levels[matrix.codes[32 + 5]]);
}

TEST_F(RefineTileTest, ObjectivesAreErrorsTimesGradients) {
  make("q4_0", 16, 32);
  RefineTile tile(problem, plan);
  load_tile(problem, plan, 0, tile);
  for (int64_t i = 0; i < 32; ++i) {
    for (int64_t lane = 0; lane < kRefineRows; ++lane)
      tile.gradient[i * kRefineRows + lane] = static_cast<float>(lane);
  }
  double found[kRefineRows];
  objectives(problem, tile, found);
  const std::vector<float> weights = decoded();
  for (int64_t row = 0; row < 16; ++row) {
    // Eighths times sixteenths of small numbers: exact.
    double expected = 0;
    for (int64_t i = 0; i < 32; ++i)
      expected += (static_cast<double>(weights[row * 32 + i]) - target[row * 32 + i]) *
                  static_cast<double>(row);
    EXPECT_EQ(found[row], expected) << row;
  }
}

TEST_F(RefineTileTest, OnlyRowsThatImprovedAreStored) {
  make("q4_0", 18, 32);
  const grid::QuantizedMatrix start = matrix;
  std::vector<double> reported(18, -1.0);
  problem.row_objective = reported.data();
  RefineTile tile(problem, plan);
  load_tile(problem, plan, 16, tile);
  std::fill(tile.codes.begin(), tile.codes.end(), 9.0f);
  std::fill(tile.parameters.begin(), tile.parameters.end(), std::byte{0x3c});
  std::fill_n(tile.codes_changed, kRefineRows, 5);
  std::fill_n(tile.groups_refit, kRefineRows, 2);
  double before[kRefineRows] = {4, 4}, after[kRefineRows] = {3, std::nan("")};
  RefineTotals totals(18);
  store_tile(problem, 16, before, after, tile, totals);
  for (int64_t i = 0; i < 18 * 32; ++i)
    EXPECT_EQ(matrix.codes[i], i / 32 == 16 ? 9 : start.codes[i]) << i;
  for (int64_t b = 0; b < 18 * 2; ++b)
    EXPECT_EQ(matrix.parameters[b], b / 2 == 16 ? std::byte{0x3c} : start.parameters[b]) << b;
  EXPECT_EQ(reported[15], -1);
  EXPECT_EQ(reported[16], 3);
  EXPECT_EQ(reported[17], 4);
  const RefineReport report = totals.report();
  EXPECT_EQ(report.objective_before, 8);
  EXPECT_EQ(report.objective_after, 7);
  EXPECT_EQ(report.codes_changed, 5);
  EXPECT_EQ(report.groups_refit, 2);
}

// Group 1 of block 1 of int8:g8 in four blocks; lane 1 has nothing to gain.
TEST_F(RefineTileTest, EveryLaneDecidesForItself) {
  make("int8:g8:asym", 2, 32, true);
  RefineTile tile(problem, plan);
  load_tile(problem, plan, 0, tile);
  const RefineTile start = tile;
  // Scale 0.5, offset -1.5: to 0.5 and -3, whose zero point is 6.
  const GroupSums sums[] = {{.t_gradient = 0, .gradient = 1.5f, .tt = 4, .t1 = 0, .ones = 1}, {}};
  EXPECT_TRUE(refit_group_lanes(problem, 1, 0, sums, 2, tile));
  EXPECT_EQ(tile.groups_refit[0], 1);
  EXPECT_EQ(tile.groups_refit[1], 0);
  for (int64_t group = 0; group < 4; ++group) {
    EXPECT_EQ(tile.offset[group * kRefineRows], group == 1 ? -3.0f : -1.5f);
    EXPECT_EQ(tile.scale[group * kRefineRows], 0.5f);
    EXPECT_EQ(tile.offset[group * kRefineRows + 1], start.offset[group * kRefineRows + 1]);
  }
  for (int64_t i = 0; i < 32; ++i) {
    const bool moves = i >= 8 && i < 16 && mask[i] == 0;  // pinned: its code follows the zero point
    EXPECT_EQ(tile.codes[i * kRefineRows], moves ? 6 : start.codes[i * kRefineRows]) << i;
    EXPECT_EQ(tile.codes[i * kRefineRows + 1], start.codes[i * kRefineRows + 1]) << i;
  }
  const GroupSums nothing[] = {{}, {}};
  EXPECT_FALSE(refit_group_lanes(problem, 1, 0, nothing, 2, tile));
  EXPECT_EQ(tile.groups_refit[0], 1);
  // A block's factor of 1.5 leaves the zero point, so that no code moves.
  const RefineTile between = tile;
  const BlockSums block[] = {{.a_gradient = -0.5f, .c_gradient = -0.5f, .aa = 1, .ac = 0, .cc = 1},
                             {}};
  EXPECT_TRUE(refit_block_lanes(problem, 2, block, 2, tile));
  EXPECT_EQ(tile.scale[2 * kRefineRows], 0.75f);
  EXPECT_EQ(tile.offset[2 * kRefineRows], -2.25f);
  EXPECT_EQ(tile.inverse[2 * kRefineRows], grid::inverse_scale(0.75f));
  EXPECT_EQ(tile.scale[2 * kRefineRows + 1], start.scale[2 * kRefineRows + 1]);
  EXPECT_EQ(tile.codes, between.codes);
  EXPECT_EQ(tile.groups_refit[0], 2);
  const BlockSums no_block[] = {{}, {}};
  EXPECT_FALSE(refit_block_lanes(problem, 2, no_block, 2, tile));
}

// The driver: every row once, whatever fills the last tile.
TEST_F(RefineTileTest, EveryRowIsInOneTile) {
  for (const int64_t rows : {0, 1, 15, 16, 17, 33}) {
    make("q4_0", rows, 32);
    for (size_t i = 0; i < target.size(); ++i) target[i] = 0;
    std::vector<double> reported(rows + 1, -1.0);
    problem.row_objective = reported.data();
    const RefineReport report =
        refine_tiles(problem, {},
                     [](const RefineProblem& whole, const RefinePlan&, const RefineOptions&,
                        int64_t rows_here, RefineTile& tile, double* before) {
                       for (int64_t lane = 0; lane < kRefineRows; ++lane) before[lane] = 1;
                       for (int64_t i = 0; i < whole.columns; ++i) {
                         for (int64_t lane = 0; lane < rows_here; ++lane)
                           tile.codes[i * kRefineRows + lane] = 8;
                       }
                       for (int64_t lane = 0; lane < rows_here; ++lane)
                         tile.codes_changed[lane] = 1;
                     });
    EXPECT_EQ(report.objective_before, static_cast<double>(rows));
    EXPECT_EQ(report.objective_after, 0);  // the gradient was left at zero
    EXPECT_EQ(report.codes_changed, rows);
    EXPECT_EQ(matrix.codes, std::vector<uint8_t>(rows * 32, 8));
    for (int64_t r = 0; r <= rows; ++r) EXPECT_EQ(reported[r], r < rows ? 0 : -1) << rows;
  }
}

}  // namespace
}  // namespace frugal::kernels
