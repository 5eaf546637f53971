#include "layerwise/rounding/gptaq.h"

#include <vector>

#include "layerwise/rounding/order.h"
#include "layerwise/rounding/pre_correct.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

struct Case {
  at::Tensor weights, x, original, hessian, drift;
  Factor factor;
};

Case make_case(uint64_t seed, int64_t rows, int64_t columns, double drift_size) {
  Case c;
  c.weights = random_matrix(seed, "weights", rows, columns);
  c.x = random_inputs(seed, 3 * columns, columns);
  c.original =
      c.x + drift_size * random_matrix(seed, "drift", 3 * columns, columns) * c.x.abs().mean(0);
  c.hessian = second_moment(c.x);
  c.drift = gather_drift({c.original}, {c.x}, {c.x});
  c.factor =
      factorize(c.hessian, column_order(c.hessian.diagonal(), 32, ColumnOrder::kGroupAware), {})
          .value();
  return c;
}

std::shared_ptr<const grid::Grid> grid_named(std::string_view name, int64_t columns) {
  return grid::find_grid(name, columns).value();
}

constexpr GptqOptions kPlain{.dynamic_scales = false, .sweeps = 0, .refits = 0};

// P by its definition: row q is (ΔX Xᵀ)_{q,F} U_FᵀU_F over the columns F behind q.
at::Tensor dense_correction(const Case& c, double alpha) {
  const at::Tensor order = c.factor.order, u = c.factor.upper;
  const at::Tensor d = c.drift.index_select(0, order).index_select(1, order);
  at::Tensor p = at::zeros_like(u);
  for (int64_t q = 0; q + 1 < u.size(0); ++q) {
    const at::Tensor behind = u.narrow(0, q + 1, u.size(0) - q - 1);
    p[q] = at::mv(at::mm(behind.t(), behind), d[q]) * alpha;
  }
  return p;
}

// The published update in doubles, column by column over the whole row, scales given.
std::vector<uint8_t> dense_codes(const Case& c, const grid::QuantizedMatrix& scales, double alpha) {
  const grid::GridSpec& spec = scales.grid->spec();
  const int64_t rows = c.weights.size(0), columns = c.weights.size(1);
  const at::Tensor p = dense_correction(c, alpha), u = c.factor.upper;
  at::Tensor w = c.weights.to(at::kDouble).index_select(1, c.factor.order);
  std::vector<uint8_t> codes(static_cast<size_t>(rows * columns));
  std::vector<float> scale(static_cast<size_t>(spec.groups_per_block())), offset(scale.size());
  for (int64_t i = 0; i < columns; ++i) {
    const int64_t j = c.factor.order[i].item<int64_t>();
    const auto group = static_cast<size_t>(j % spec.block_columns / spec.group_columns);
    const at::Tensor before = w.select(1, i).clone();
    at::Tensor rounded = at::empty_like(before);
    for (int64_t r = 0; r < rows; ++r) {
      scales.grid->expand(scales.block_parameters(r, j / spec.block_columns), scale.data(),
                          offset.data());
      const double current = before[r].item<double>();
      const uint8_t code =
          scales.grid->nearest_code(static_cast<float>((current - offset[group]) / scale[group]));
      codes[static_cast<size_t>(r * columns + j)] = code;
      rounded[r] = static_cast<double>(scale[group]) * spec.levels[code] + offset[group];
    }
    const at::Tensor error = (before - rounded) / u[i][i];
    w -= at::outer(error, u[i]) - at::outer(before, p[i]);
  }
  return codes;
}

TEST(Gptaq, CorrectionIsTheDefinition) {
  const Case c = make_case(1, 4, 96, 0.2);
  const at::Tensor expected = dense_correction(c, 0.25);
  const at::Tensor p = gptaq_correction(c.drift, c.factor, 0.25);
  EXPECT_LT((p - expected).abs().max().item<double>(), 1e-10 * expected.abs().max().item<double>());
  EXPECT_EQ(p.tril().abs().max().item<double>(), 0);
}

TEST(Gptaq, EqualsThePublishedUpdateInDoubles) {
  for (const double alpha : {0.25, 1.0}) {
    const Case c = make_case(2, 6, 288, 0.2);  // wider than two windows of the sweep
    const auto grid = grid_named("q4_0", 288);
    // The scales are those of the swept weights, as gptq() fits static ones.
    const GptqResult result =
        gptaq(c.weights, c.weights, c.drift, alpha, c.hessian.diagonal(), c.factor, grid, kPlain);
    EXPECT_EQ(result.matrix.codes, dense_codes(c, result.matrix, alpha)) << alpha;
    EXPECT_NE(result.matrix.codes,
              gptq(c.weights, c.hessian.diagonal(), c.factor, grid, kPlain).matrix.codes);
  }
}

TEST(Gptaq, WithoutDriftItIsGptqBitForBit) {
  for (const char* name : {"q4_0", "iq4_nl", "int4:g32:asym"}) {
    const Case c = make_case(3, 70, 320, 0);
    const auto grid = grid_named(name, 320);
    for (const GptqOptions& options : {GptqOptions{.sweeps = 0, .refits = 0}, GptqOptions{}}) {
      const GptqResult with =
          gptaq(c.weights, c.weights, c.drift, 1, c.hessian.diagonal(), c.factor, grid, options);
      const GptqResult without = gptq(c.weights, c.hessian.diagonal(), c.factor, grid, options);
      EXPECT_EQ(with.matrix.codes, without.matrix.codes) << name;
      EXPECT_EQ(with.matrix.parameters, without.matrix.parameters) << name;
    }
  }
}

// ‖Ŵ X − W X̃‖² / T.
double asymmetric_error(const Case& c, const grid::QuantizedMatrix& matrix) {
  const at::Tensor changed = at::mm(c.x, decode(matrix).t()),
                   wanted = at::mm(c.original, c.weights.t());
  return (changed - wanted).square().sum().item<double>() / static_cast<double>(c.x.size(0));
}

TEST(Gptaq, MakesUpForDrift) {
  double plain = 0, corrected = 0, finished = 0;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    Case c = make_case(10 + seed, 8, 128, 0);
    // A drift that follows the inputs, as that of rounded layers does: noise alone cannot be
    // undone.
    const at::Tensor turn = random_matrix(seed, "turn", 128, 128) * 0.005;
    c.original = c.x + at::mm(c.x, turn);
    c.drift = gather_drift({c.original}, {c.x}, {c.x});
    const auto grid = grid_named("q8_0", 128);
    const at::Tensor goal = pre_correct(c.weights, {c.drift, {}}, c.factor, {1, 0});
    const auto solve = [&](double alpha, const GptqOptions& options) {
      return asymmetric_error(
          c, gptaq(c.weights, goal, c.drift, alpha, c.hessian.diagonal(), c.factor, grid, options)
                 .matrix);
    };
    plain += solve(0, {.sweeps = 0, .refits = 0});
    corrected += solve(1, {.sweeps = 0, .refits = 0});
    finished += solve(1, {});
  }
  EXPECT_LT(corrected, plain);
  EXPECT_LT(finished, corrected);
}

TEST(Gptaq, SameBitsAtAnyThreadCount) {
  const Case c = make_case(4, 150, 768, 0.1);
  std::vector<uint8_t> first;
  for (const int threads : {1, 2, 3}) {
    const ThreadCount count(threads);
    const GptqResult result = gptaq(c.weights, c.weights, c.drift, 0.5, c.hessian.diagonal(),
                                    c.factor, grid_named("q4_0", 768), {});
    if (first.empty()) first = result.matrix.codes;
    EXPECT_EQ(result.matrix.codes, first) << threads;
  }
}

TEST(Gptaq, RefusesSizesThatDoNotFit) {
  const Case c = make_case(5, 4, 64, 0.1);
  EXPECT_ANY_THROW(gptaq(c.weights, c.weights, c.drift.narrow(0, 0, 32), 1, c.hessian.diagonal(),
                         c.factor, grid_named("q4_0", 64), {}));
}

}  // namespace
}  // namespace frugal::layerwise
