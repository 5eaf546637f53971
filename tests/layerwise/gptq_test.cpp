#include "layerwise/rounding/gptq.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "layerwise/rounding/order.h"
#include "support/every_grid.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

using GridPointer = std::shared_ptr<const grid::Grid>;

GridPointer grid_named(std::string_view name, int64_t columns) {
  return grid::find_grid(name, columns).value();
}

struct Case {
  at::Tensor weights, hessian;
  Factor factor;
};

Case make_case(uint64_t seed, int64_t rows, int64_t columns, int64_t block,
               ColumnOrder order = ColumnOrder::kGroupAware) {
  Case c;
  c.weights = random_matrix(seed, "weights", rows, columns);
  c.hessian = second_moment(random_inputs(seed, 2 * columns, columns));
  c.factor = factorize(c.hessian, column_order(c.hessian.diagonal(), block, order), {}).value();
  return c;
}

at::Tensor importance(const Case& c) { return c.hessian.diagonal(); }

double damped_objective(const Case& c, const grid::QuantizedMatrix& matrix) {
  return output_error(decode(matrix), c.weights, c.factor.damped).squared;
}

bool same_matrix(const grid::QuantizedMatrix& a, const grid::QuantizedMatrix& b) {
  return a.codes == b.codes && a.parameters == b.parameters;
}

GptqOptions plain() { return {.sweeps = 0, .refits = 0}; }

// Σe² = tr(ΔW (H + λI) ΔWᵀ) holds exactly when every update has reached every column behind
// it: windows of several blocks, blocks as wide as a window, blocks wider than one.
TEST(Gptq, SumOfErrorsIsTheObjective) {
  struct Shape {
    const char* grid;
    int64_t columns;
  };
  for (const Shape& shape :
       {Shape{"q4_0", 320}, Shape{"q4_k", 512}, Shape{"int4:row", 640}, Shape{"int4:g48", 288},
        Shape{"int3:g5", 200}, Shape{"int4:g24:asym", 240}}) {
    const GridPointer grid = grid_named(shape.grid, shape.columns);
    const Case c = make_case(1, 20, shape.columns, grid->spec().block_columns);
    const GptqResult result = gptq(c.weights, importance(c), c.factor, grid, plain());
    const double objective = damped_objective(c, result.matrix);
    EXPECT_NEAR(result.sweep_objective, objective, 1e-3 * objective)
        << shape.grid;  // fp32 sums over the columns
    EXPECT_EQ(result.objective, result.sweep_objective);
  }
}

// The same algorithm in doubles, column by column over the whole row, scales given.
std::vector<uint8_t> brute_force_codes(const Case& c, const grid::QuantizedMatrix& scales) {
  const grid::GridSpec& spec = scales.grid->spec();
  const int64_t columns = c.weights.size(1);
  const at::Tensor upper = c.factor.upper.contiguous(), order = c.factor.order.contiguous();
  const double* u = upper.const_data_ptr<double>();
  const int64_t* column = order.const_data_ptr<int64_t>();
  std::vector<uint8_t> codes(static_cast<size_t>(c.weights.numel()));
  std::vector<float> scale(static_cast<size_t>(spec.groups_per_block())), offset(scale.size());
  for (int64_t r = 0; r < c.weights.size(0); ++r) {
    std::vector<double> w(static_cast<size_t>(columns));
    for (int64_t p = 0; p < columns; ++p)
      w[static_cast<size_t>(p)] = c.weights[r][column[p]].item<double>();
    for (int64_t p = 0; p < columns; ++p) {
      const int64_t j = column[p], block = j / spec.block_columns;
      scales.grid->expand(scales.block_parameters(r, block), scale.data(), offset.data());
      const auto group = static_cast<size_t>(j % spec.block_columns / spec.group_columns);
      double& current = w[static_cast<size_t>(p)];
      const uint8_t code =
          scales.grid->nearest_code(static_cast<float>((current - offset[group]) / scale[group]));
      const double q = static_cast<double>(scale[group]) * spec.levels[code] + offset[group];
      const double e = (current - q) / u[p * columns + p];
      for (int64_t k = p + 1; k < columns; ++k) w[static_cast<size_t>(k)] -= e * u[p * columns + k];
      codes[static_cast<size_t>(r * columns + j)] = code;
    }
  }
  return codes;
}

// Act-order and the others alike: codes lie in the matrix's own order, with the scales of the given
// weights. Blocks inside a window of the sweep, as wide as several, and wider than any.
TEST(Gptq, StaticScalesEqualABruteForceInDoubles) {
  struct Shape {
    const char* grid;
    int64_t columns;
  };
  for (const Shape& shape : {Shape{"q4_0", 160}, Shape{"iq4_nl", 160}, Shape{"int4:g32:asym", 160},
                             Shape{"q4_k", 512}, Shape{"int4:row", 640}}) {
    const GridPointer grid = grid_named(shape.grid, shape.columns);
    for (const ColumnOrder order :
         {ColumnOrder::kGroupAware, ColumnOrder::kDescending, ColumnOrder::kNatural}) {
      const Case c = make_case(2, 4, shape.columns, grid->spec().block_columns, order);
      GptqOptions options = plain();
      options.dynamic_scales = false;
      const GptqResult result = gptq(c.weights, importance(c), c.factor, grid, options);
      FRUGAL_ASSERT_OK_AND_ASSIGN(const grid::QuantizedMatrix nearest,
                                  round_to_nearest(c.weights, importance(c), grid, true));
      EXPECT_EQ(result.matrix.parameters, nearest.parameters) << shape.grid;
      EXPECT_EQ(result.matrix.codes, brute_force_codes(c, nearest)) << shape.grid;
    }
  }
}

TEST(Gptq, ScalesInsideTheSweepNeedBlocksSideBySide) {
  const Case c = make_case(2, 4, 160, 32, ColumnOrder::kDescending);
  EXPECT_THROW(gptq(c.weights, importance(c), c.factor, grid_named("q4_0", 160), plain()),
               std::invalid_argument);
}

TEST(Gptq, WithIndependentColumnsItIsRoundingToNearest) {
  const GridPointer grid = grid_named("q4_k", 512);
  Case c = make_case(3, 8, 512, 256);
  c.hessian = at::eye(512, at::kDouble) * 3;
  c.factor =
      factorize(c.hessian, column_order(c.hessian.diagonal(), 256, ColumnOrder::kGroupAware), {})
          .value();
  const GptqResult result = gptq(c.weights, importance(c), c.factor, grid, plain());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const grid::QuantizedMatrix nearest,
                              round_to_nearest(c.weights, importance(c), grid, true));
  EXPECT_TRUE(same_matrix(result.matrix, nearest));
}

TEST(Gptq, BetterThanNearestAndTheFinishNeverWorse) {
  for (const char* name : {"q4_0", "iq4_nl", "q4_k", "q8_0", "int4:g32:asym"}) {
    const GridPointer grid = grid_named(name, 256);
    double nearest_sum = 0, sweep_sum = 0, finish_sum = 0;
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const Case c = make_case(seed, 8, 256, grid->spec().block_columns);
      FRUGAL_ASSERT_OK_AND_ASSIGN(const grid::QuantizedMatrix nearest,
                                  round_to_nearest(c.weights, importance(c), grid, true));
      const GptqResult result = gptq(c.weights, importance(c), c.factor, grid, {});
      const double reference = output_error(c.weights * 0, c.weights, c.factor.damped).squared;
      nearest_sum += damped_objective(c, nearest) / reference;
      sweep_sum += result.sweep_objective / reference;
      finish_sum += result.objective / reference;
      EXPECT_LE(result.objective, result.sweep_objective * (1 + 1e-4))
          << name << " seed " << seed;  // fp32 sums
      EXPECT_NEAR(result.objective, damped_objective(c, result.matrix), 1e-3 * result.objective)
          << name;
    }
    EXPECT_LT(sweep_sum, nearest_sum) << name;
    EXPECT_LT(finish_sum, sweep_sum) << name;
  }
}

// On every grid and seed, not on average: rounding to nearest with the format's own scales (bit for
// bit those of ggml where it has the grid, tests/grid) and with searched ones.
TEST(Gptq, RoundingToNearestNeverBeatsItOnAnyGrid) {
  std::map<std::pair<uint64_t, int64_t>, Case> cases;
  for (const std::string& name : test::every_grid()) {
    const GridPointer grid = grid_named(name, 256);
    for (uint64_t seed = 40; seed < 50; ++seed) {
      const int64_t block = grid->spec().block_columns;
      auto found = cases.find({seed, block});
      if (found == cases.end())
        found = cases.emplace(std::pair(seed, block), make_case(seed, 3, 256, block)).first;
      const Case& c = found->second;
      const double ours =
          damped_objective(c, gptq(c.weights, importance(c), c.factor, grid, {}).matrix);
      for (const bool search : {false, true}) {
        FRUGAL_ASSERT_OK_AND_ASSIGN(
            const grid::QuantizedMatrix nearest,
            round_to_nearest(c.weights, search ? importance(c) : at::Tensor(), grid, search));
        EXPECT_LT(ours, damped_objective(c, nearest)) << name << " seed " << seed << " " << search;
      }
    }
  }
}

TEST(Gptq, SameBitsAtAnyThreadCount) {
  const GridPointer grid = grid_named("q4_k", 768);
  const Case c = make_case(4, 150, 768, 256);
  std::optional<grid::QuantizedMatrix> first;
  for (const int threads : {1, 2, 3}) {
    const ThreadCount count(threads);
    const GptqResult result = gptq(c.weights, importance(c), c.factor, grid, {});
    EXPECT_TRUE(!first || same_matrix(result.matrix, *first)) << threads;
    if (!first) first = result.matrix;
  }
}

TEST(Gptq, RowsDoNotDependOnEachOther) {
  const GridPointer grid = grid_named("iq4_nl", 192);
  const Case c = make_case(5, 70, 192, 32);
  const GptqResult all = gptq(c.weights, importance(c), c.factor, grid, {});
  const GptqResult part =
      gptq(c.weights.narrow(0, 64, 6).contiguous(), importance(c), c.factor, grid, {});
  EXPECT_TRUE(same_matrix(take_rows(all.matrix, 64, 6), part.matrix));
}

TEST(GptqMask, PinnedWeightsAreZeroAndTheOthersMakeUpForThem) {
  for (const char* name : {"q4_0", "q8_0", "int4:row", "int4:g32:asym"}) {
    const GridPointer grid = grid_named(name, 320);
    const Case c = make_case(7, 24, 320, grid->spec().block_columns);
    const at::Tensor mask = (c.weights.abs() > 0.5).to(at::kByte);
    for (const bool dynamic : {true, false}) {
      const GptqResult result =
          gptq(c.weights, importance(c), c.factor, grid, {.dynamic_scales = dynamic}, mask);
      const at::Tensor decoded = decode(result.matrix);
      EXPECT_TRUE(decoded.masked_select(mask == 0).eq(0).all().item<bool>()) << name;
      EXPECT_LE(result.objective, result.sweep_objective * (1 + 1e-4)) << name;  // fp32 sums
      EXPECT_NEAR(result.objective, damped_objective(c, result.matrix), 1e-3 * result.objective);
      FRUGAL_ASSERT_OK_AND_ASSIGN(const grid::QuantizedMatrix nearest,
                                  round_to_nearest(c.weights, importance(c), grid, true, mask));
      EXPECT_TRUE(decode(nearest).masked_select(mask == 0).eq(0).all().item<bool>()) << name;
      EXPECT_LT(result.objective, damped_objective(c, nearest)) << name;
    }
  }
}

TEST(GptqMask, AllOnesChangeNothing) {
  for (const char* name : {"q4_0", "int4:g32:asym"}) {
    const GridPointer grid = grid_named(name, 192);
    const Case c = make_case(8, 20, 192, 32);
    const at::Tensor ones = at::ones({20, 192}, at::kByte);
    EXPECT_TRUE(same_matrix(gptq(c.weights, importance(c), c.factor, grid, {}, ones).matrix,
                            gptq(c.weights, importance(c), c.factor, grid, {}).matrix));
    EXPECT_TRUE(same_matrix(*round_to_nearest(c.weights, importance(c), grid, true, ones),
                            *round_to_nearest(c.weights, importance(c), grid, true)));
  }
}

TEST(GptqMask, WrongMasksAreRefused) {
  const Case c = make_case(9, 4, 256, 32);
  const at::Tensor ones = at::ones({4, 256}, at::kByte);
  EXPECT_ANY_THROW(gptq(c.weights, importance(c), c.factor, grid_named("iq4_nl", 256), {}, ones));
  const GridPointer grid = grid_named("q4_0", 256);
  EXPECT_ANY_THROW(gptq(c.weights, importance(c), c.factor, grid, {}, ones.narrow(1, 0, 255)));
  EXPECT_ANY_THROW(gptq(c.weights, importance(c), c.factor, grid, {}, ones.to(at::kFloat)));
}

TEST(Gptq, ZeroRowsStayZero) {
  for (const char* name : {"q4_0", "iq4_nl", "q4_k", "int4:g32:asym"}) {
    const GridPointer grid = grid_named(name, 256);
    Case c = make_case(6, 4, 256, grid->spec().block_columns);
    c.weights[1].zero_();
    const at::Tensor decoded = decode(gptq(c.weights, importance(c), c.factor, grid, {}).matrix);
    EXPECT_EQ(decoded[1].abs().max().item<float>(), 0) << name;
    EXPECT_GT(decoded[2].abs().max().item<float>(), 0) << name;
  }
}

TEST(Gptq, DeadColumnsAreRoundedOrZeroedAsAsked) {
  const GridPointer grid = grid_named("q4_0", 64);
  Case c = make_case(7, 5, 64, 32);
  at::Tensor x = random_inputs(7, 200, 64);
  x.select(1, 9).zero_();
  c.hessian = second_moment(x);
  c.factor =
      factorize(c.hessian, column_order(c.hessian.diagonal(), 32, ColumnOrder::kGroupAware), {})
          .value();
  const at::Tensor kept = decode(gptq(c.weights, importance(c), c.factor, grid, {}).matrix);
  EXPECT_GT(kept.select(1, 9).abs().max().item<float>(), 0);
  const at::Tensor zeroed =
      decode(gptq(c.weights, importance(c), c.factor, grid, {.zero_dead = true}).matrix);
  EXPECT_EQ(zeroed.select(1, 9).abs().max().item<float>(), 0);
}

TEST(Gptq, RankOneInputsAreFitted) {
  const GridPointer grid = grid_named("q4_0", 64);
  Case c = make_case(8, 5, 64, 32);
  c.hessian = second_moment(random_matrix(8, "x", 1, 64));
  c.factor =
      factorize(c.hessian, column_order(c.hessian.diagonal(), 32, ColumnOrder::kGroupAware), {})
          .value();
  const GptqResult result = gptq(c.weights, importance(c), c.factor, grid, {});
  FRUGAL_ASSERT_OK_AND_ASSIGN(const grid::QuantizedMatrix nearest,
                              round_to_nearest(c.weights, importance(c), grid, true));
  // One direction carries everything: 64 codes can meet one number per row far better than each
  // code its weight.
  const double ours = output_error(decode(result.matrix), c.weights, c.hessian).relative();
  EXPECT_LT(ours, 0.1 * output_error(decode(nearest), c.weights, c.hessian).relative());
}

TEST(Gptq, NaturalOrderWorksToo) {
  const GridPointer grid = grid_named("q4_0", 128);
  const Case c = make_case(9, 6, 128, 32, ColumnOrder::kNatural);
  const GptqResult result = gptq(c.weights, importance(c), c.factor, grid, plain());
  EXPECT_NEAR(result.sweep_objective, damped_objective(c, result.matrix),
              1e-3 * result.sweep_objective);
}

TEST(Gptq, SizesMustFit) {
  const Case c = make_case(10, 4, 64, 32);
  const GridPointer grid = grid_named("q4_0", 64);
  EXPECT_THROW(gptq(c.weights.narrow(1, 0, 32).contiguous(), importance(c), c.factor, grid, {}),
               c10::Error);
  EXPECT_THROW(gptq(c.weights.to(at::kDouble), importance(c), c.factor, grid, {}), c10::Error);
}

TEST(OutputError, RelativeToTheOutputs) {
  const at::Tensor w = random_matrix(11, "w", 3, 8);
  const at::Tensor h = second_moment(random_matrix(11, "x", 30, 8));
  EXPECT_NEAR(output_error(w * 0, w, h).relative(), 1.0, 1e-12);
  EXPECT_EQ(output_error(w, w, h).relative(), 0.0);
  EXPECT_EQ(output_error(w * 0, w * 0, h).relative(), 0.0);
  EXPECT_TRUE(std::isinf(output_error(w, w * 0, h).relative()));
}

TEST(TakeRows, OutOfRangeThrows) {
  const grid::QuantizedMatrix matrix = grid::empty_matrix(grid_named("q4_0", 32), 3, 32);
  EXPECT_EQ(take_rows(matrix, 1, 2).rows, 2);
  EXPECT_THROW(take_rows(matrix, 2, 2), c10::Error);
}

}  // namespace
}  // namespace frugal::layerwise
