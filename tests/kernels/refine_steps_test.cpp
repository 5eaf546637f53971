// The decisions of the finish, one row at a time: what a plan holds, which parameters are stored,
// and when a step is not taken.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "kernels/refine_kernels.h"
#include "layer_problem.h"

namespace frugal::kernels {
namespace {

// A matrix of `rows` x `columns` whose Hessian holds 1 + i * columns + j, all codes 0.
struct Fixture {
  Fixture(const char* name, int64_t rows, int64_t columns)
      : matrix(grid::empty_matrix(grid_or_die(name, columns), rows, columns)),
        target(rows * columns, 0.0f),
        hessian(columns * columns) {
    for (size_t i = 0; i < hessian.size(); ++i) hessian[i] = static_cast<float>(i + 1);
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
               .parameters_stride = matrix.blocks_per_row() * matrix.grid->spec().parameter_bytes};
  }
  grid::QuantizedMatrix matrix;
  std::vector<float> target, hessian;
  RefineProblem problem;
};

// One block on a grid, its parameters as stored and as expanded.
struct Block {
  Block(const char* name, float scale, float offset)
      : grid(grid_or_die(name)), parameters(grid->spec().parameter_bytes) {
    grid->snap(&scale, &offset, parameters.data());
    grid->expand(parameters.data(), &this->scale, &this->offset);
  }
  bool refit(const GroupSums& sums) {
    return refit_group(*grid, 0, sums, parameters.data(), &scale, &offset);
  }
  bool refit(const BlockSums& sums) {
    return refit_block(*grid, sums, parameters.data(), &scale, &offset);
  }
  // What is stored is what is expanded.
  bool agrees() const {
    float stored_scale, stored_offset;
    grid->expand(parameters.data(), &stored_scale, &stored_offset);
    return stored_scale == scale && stored_offset == offset;
  }
  std::shared_ptr<const grid::Grid> grid;
  std::vector<std::byte> parameters;
  float scale = 0, offset = 0;
};

TEST(RefinePlan, SumsTheHessianOverEachColumnsOwnGroup) {
  const Fixture affine("int4:g4:asym", 1, 8);
  const RefinePlan plan = plan_refine(affine.problem);
  EXPECT_EQ(plan.groups, 2);
  EXPECT_TRUE(plan.block_step);
  EXPECT_EQ(plan.table.count, 16);
  ASSERT_EQ(plan.row_sums.size(), 8u);
  for (int64_t i = 0; i < 8; ++i) {
    float expected = 0;
    for (int64_t j = i / 4 * 4; j < i / 4 * 4 + 4; ++j)
      expected += static_cast<float>(1 + i * 8 + j);
    EXPECT_EQ(plan.row_sums[i], expected) << i;
  }
}

TEST(RefinePlan, BlocksAreStepsWhereGroupsShareAScale) {
  const Fixture alone("q4_0", 1, 64), shared("q6_k", 1, 256);
  const RefinePlan simple = plan_refine(alone.problem);
  EXPECT_EQ(simple.groups, 2);
  EXPECT_FALSE(simple.block_step);
  EXPECT_EQ(simple.row_sums, std::vector<float>(64, 0.0f));  // offsets are for affine grids
  const RefinePlan sub = plan_refine(shared.problem);
  EXPECT_EQ(sub.groups, 16);
  EXPECT_TRUE(sub.block_step);
}

TEST(RefinePlan, ContradictionsAreNamed) {
  const auto refused = [](const RefineProblem& problem) -> std::string {
    try {
      plan_refine(problem);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "accepted";
  };
  Fixture good("q4_0", 2, 32);
  EXPECT_EQ(refused(good.problem), "accepted");
  RefineProblem bad = good.problem;
  bad.grid = nullptr;
  EXPECT_EQ(refused(bad), "refine: no grid");
  bad = good.problem;
  bad.columns = 33;
  EXPECT_EQ(refused(bad), "refine: 33 columns are no multiple of the grid's block of 32");
  bad = good.problem;
  bad.codes = nullptr;
  EXPECT_EQ(refused(bad), "refine: a required pointer is null");
  bad.rows = 0;  // nothing to do: nothing is needed
  EXPECT_EQ(refused(bad), "accepted");
  Fixture affine("int4:asym", 0, 32);
  affine.problem.hessian = nullptr;
  EXPECT_EQ(refused(affine.problem), "accepted");
  bad = good.problem;
  bad.codes_stride = 31;
  EXPECT_EQ(refused(bad), "refine: a row stride is smaller than 32 columns");
  good.hessian[33] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(refused(good.problem),
            "refine: the Hessian's diagonal must be positive and finite, entry 1 is inf; damp it");
}

TEST(RefinePlan, PinnedWeightsMustBeZeroAlready) {
  Fixture fixture("int4:g32:asym", 1, 32);
  const float scale = 1, offset = -3;  // code 3 is zero
  fixture.matrix.grid->snap(&scale, &offset, fixture.matrix.parameters.data());
  std::vector<uint8_t> mask(32, 1);
  mask[5] = 0;
  fixture.problem.mask = mask.data();
  fixture.problem.mask_stride = 32;
  EXPECT_THROW(plan_refine(fixture.problem), std::invalid_argument);
  fixture.matrix.codes[5] = 3;
  EXPECT_NO_THROW(plan_refine(fixture.problem));
}

TEST(RefitGroup, TakesTheLeastSquaresScale) {
  Block block("q4_0", 1, 0);
  EXPECT_TRUE(block.refit(GroupSums{.t_gradient = -2, .tt = 4}));  // 1 + 2 / 4
  EXPECT_EQ(block.scale, 1.5f);
  EXPECT_TRUE(block.agrees());
  EXPECT_TRUE(block.refit(GroupSums{.t_gradient = 14, .tt = 4}));  // a symmetric grid takes signs
  EXPECT_EQ(block.scale, -2.0f);
}

// 2x2 system: tt x + t1 y = -t_gradient, t1 x + ones y = -gradient with x = 0.5, y = -1.
TEST(RefitGroup, TakesScaleAndOffsetTogether) {
  Block block("int4:g32:asym", 1, -8);
  EXPECT_TRUE(
      block.refit(GroupSums{.t_gradient = -1, .gradient = 1.5f, .tt = 4, .t1 = 1, .ones = 2}));
  EXPECT_EQ(block.scale, 1.5f);
  EXPECT_EQ(block.offset, -9.0f);  // zero point 6
  EXPECT_TRUE(block.agrees());
}

// The scale as stored is not the one wished for; the offset is then the best for what is stored.
TEST(RefitGroup, TheOffsetFitsTheScaleAsStored) {
  Block block("q4_1", 1024, -8);
  // Wished: x = 0.25, y = 0.5, but fp16 has steps of 1 there; with x = 0 the best y is 1.25 / 2.
  EXPECT_TRUE(block.refit(
      GroupSums{.t_gradient = -0.75f, .gradient = -1.25f, .tt = 1, .t1 = 1, .ones = 2}));
  EXPECT_EQ(block.scale, 1024.0f);
  EXPECT_EQ(block.offset, -8 + 0.625f);
  EXPECT_TRUE(block.agrees());
}

TEST(RefitGroup, WhatDoesNotLowerTheObjectiveIsNotTaken) {
  for (const GroupSums& sums :
       {GroupSums{.t_gradient = 0, .tt = 4},          // at the optimum
        GroupSums{.t_gradient = -2, .tt = 0},         // all levels are zero
        GroupSums{.t_gradient = -0x1p-13f, .tt = 1},  // less than fp16 can store
        GroupSums{.t_gradient = std::nanf(""), .tt = 1}}) {
    Block block("q4_0", 1, 0);
    const std::vector<std::byte> before = block.parameters;
    EXPECT_FALSE(block.refit(sums)) << sums.t_gradient << " " << sums.tt;
    EXPECT_EQ(block.parameters, before);
    EXPECT_EQ(block.scale, 1.0f);
  }
}

TEST(RefitGroup, AffineScalesStayPositive) {
  Block block("q4_1", 1, -8);
  const std::vector<std::byte> before = block.parameters;
  EXPECT_FALSE(block.refit(GroupSums{.t_gradient = 8, .gradient = 0, .tt = 4, .t1 = 0, .ones = 1}));
  EXPECT_EQ(block.parameters, before);
  EXPECT_EQ(block.scale, 1.0f);
  EXPECT_EQ(block.offset, -8.0f);
}

TEST(RefitBlock, TakesTheBestCommonFactor) {
  Block block("q4_0", 1, 0);
  EXPECT_TRUE(block.refit(BlockSums{.a_gradient = -0.5f, .aa = 1}));
  EXPECT_EQ(block.scale, 1.5f);
  EXPECT_TRUE(block.agrees());
  // With a zero point both move by one factor: -(a_gradient + c_gradient) / (aa + 2 ac + cc) = 0.5.
  Block affine("int4:g32:asym", 1, -8);
  EXPECT_TRUE(
      affine.refit(BlockSums{.a_gradient = -1, .c_gradient = -1.5f, .aa = 2, .ac = 1, .cc = 1}));
  EXPECT_EQ(affine.scale, 1.5f);
  EXPECT_EQ(affine.offset, -12.0f);
  EXPECT_TRUE(affine.agrees());
}

// q4_1 stores either for itself: x = 0.5 of the scale, y = -0.25 of the offset.
TEST(RefitBlock, TakesTwoFactorsWhereTheGridHasThem) {
  Block block("q4_1", 1, -8);
  EXPECT_TRUE(
      block.refit(BlockSums{.a_gradient = -0.75f, .c_gradient = 0, .aa = 2, .ac = 1, .cc = 2}));
  EXPECT_EQ(block.scale, 1.5f);
  EXPECT_EQ(block.offset, -6.0f);
}

TEST(RefitBlock, WhatDoesNotLowerTheObjectiveIsNotTaken) {
  Block zero("q4_0", 0, 0);
  EXPECT_FALSE(zero.refit(BlockSums{.a_gradient = -0.5f, .aa = 1}));
  Block optimum("q4_0", 1, 0);
  EXPECT_FALSE(optimum.refit(BlockSums{.a_gradient = 0, .aa = 1}));
  EXPECT_FALSE(optimum.refit(BlockSums{}));
  Block negative("q4_1", 1, -8);  // the best factor, -1, turns the scale's sign
  EXPECT_FALSE(
      negative.refit(BlockSums{.a_gradient = 2, .c_gradient = 0, .aa = 1, .ac = 0, .cc = 0}));
  for (const Block* const block : {&optimum, &negative}) {
    EXPECT_EQ(block->scale, 1.0f);
    EXPECT_TRUE(block->agrees());
  }
}

}  // namespace
}  // namespace frugal::kernels
