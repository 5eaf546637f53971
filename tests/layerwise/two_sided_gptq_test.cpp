#include "layerwise/rounding/two_sided_gptq.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "layerwise/rounding/order.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

using GridPointer = std::shared_ptr<const grid::Grid>;

struct Case {
  GridPointer grid;
  at::Tensor weights, hessian, products;
  Factor factor;
};

// Outputs that the model minds in a few directions much more than in others, as real ones.
Case make_case(uint64_t seed, int64_t rows, int64_t columns, const char* grid = "q4_0") {
  Case c;
  c.grid = grid::find_grid(grid, columns).value();
  c.weights = random_matrix(seed, "weights", rows, columns);
  c.hessian = second_moment(random_inputs(seed, 2 * columns, columns));
  const ColumnOrder order = ColumnOrder::kGroupAware;
  c.factor = factorize(c.hessian,
                       column_order(c.hessian.diagonal(), c.grid->spec().block_columns, order), {})
                 .value();
  c.products = second_moment(random_inputs(seed + 1000, 4 * rows, rows));
  return c;
}

GptqResult two_sided(const Case& c, const GptqOptions& options = {}, double damping = 0.02) {
  return gptq_two_sided(c.weights, c.hessian.diagonal(), c.factor, c.grid, options,
                        {{c.weights.size(0), c.products}}, damping);
}

GptqResult by_rows(const Case& c, const GptqOptions& options = {}) {
  return gptq(c.weights, c.hessian.diagonal(), c.factor, c.grid, options);
}

// tr(G E H Eᵀ).
double objective(const Case& c, const grid::QuantizedMatrix& matrix) {
  const at::Tensor e = decode(matrix).to(at::kDouble) - c.weights.to(at::kDouble);
  return at::mm(at::mm(c.products, e), c.hessian).mul(e).sum().item<double>();
}

bool same_matrix(const grid::QuantizedMatrix& a, const grid::QuantizedMatrix& b) {
  return a.codes == b.codes && a.parameters == b.parameters;
}

TEST(OutputFeedback, IndependentOutputsAreRoundedRowByRow) {
  Case c = make_case(1, 52, 128);
  c.products = at::diag(c.products.diagonal());
  EXPECT_TRUE(same_matrix(two_sided(c).matrix, by_rows(c).matrix));
  const GptqResult none = gptq_two_sided(c.weights, c.hessian.diagonal(), c.factor, c.grid, {},
                                         {{20, {}}, {32, {}}}, 0.1);
  EXPECT_TRUE(same_matrix(none.matrix, by_rows(c).matrix));
}

TEST(OutputFeedback, LowersWhatTheModelMinds) {
  double logs = 0;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Case c = make_case(seed, 96, 128, seed % 2 == 0 ? "q4_0" : "int3:g32:asym");
    const double ratio = objective(c, two_sided(c).matrix) / objective(c, by_rows(c).matrix);
    EXPECT_LT(ratio, 1) << seed;
    logs += std::log(ratio);
  }
  EXPECT_LT(std::exp(logs / 10), 0.9);
}

// Each block's rows aim at the best answer to the errors so far, the rows to come free to help:
// E_{B,R} = −G_{BR,BR}⁻¹ G_{BR,S} E_S, S rounded, B the block, R the rest.
TEST(OutputFeedback, EachBlockAnswersTheErrorsBeforeIt) {
  constexpr int64_t kRows = 40, kBlock = 16;
  Case c = make_case(7, kRows, 64);
  const double damping = 0.1;
  at::Tensor g = c.products.clone();
  g.diagonal().mul_(1 + damping);
  const at::Tensor order = g.diagonal().argsort(0, /*descending=*/true);
  g = g.index_select(0, order).index_select(1, order);
  const at::Tensor wanted = c.weights.to(at::kDouble).index_select(0, order);
  at::Tensor errors = at::zeros_like(wanted);
  grid::QuantizedMatrix expected = grid::empty_matrix(c.grid, kRows, 64);
  for (int64_t row = 0; row < kRows; row += kBlock) {
    const int64_t count = std::min(kBlock, kRows - row), open = kRows - row;
    at::Tensor goal = wanted.narrow(0, row, count);
    if (row > 0) {
      const at::Tensor answer = at::linalg_solve(
          g.narrow(0, row, open).narrow(1, row, open),
          at::mm(g.narrow(0, row, open).narrow(1, 0, row), errors.narrow(0, 0, row)));
      goal = goal - answer.narrow(0, 0, count);
    }
    const grid::QuantizedMatrix part =
        gptq(goal.to(at::kFloat).contiguous(), c.hessian.diagonal(), c.factor, c.grid, {}).matrix;
    errors.narrow(0, row, count).copy_(decode(part).to(at::kDouble) - wanted.narrow(0, row, count));
    for (int64_t r = 0; r < count; ++r) {
      const int64_t to = order[row + r].item<int64_t>();
      std::copy_n(part.codes.begin() + r * 64, 64, expected.codes.begin() + to * 64);
    }
  }
  const grid::QuantizedMatrix found = two_sided(c, {}, damping).matrix;
  int64_t different =
      0;  // fp32 here, doubles there: a weight may lie on the edge between two codes
  for (size_t i = 0; i < found.codes.size(); ++i) different += found.codes[i] != expected.codes[i];
  EXPECT_LE(different, 8) << "of " << found.codes.size();
}

TEST(OutputFeedback, RowsComeBackToTheirPlaces) {
  Case c = make_case(3, 48, 64);
  const grid::QuantizedMatrix first = two_sided(c).matrix;
  const at::Tensor turned = at::arange(47, -1, -1, at::kLong);
  Case other = c;
  other.weights = c.weights.index_select(0, turned).contiguous();
  other.products = c.products.index_select(0, turned).index_select(1, turned).contiguous();
  const at::Tensor found = decode(two_sided(other).matrix);
  EXPECT_TRUE(at::equal(found.index_select(0, turned), decode(first)));
}

TEST(OutputFeedback, MatricesOfAStackKeepToThemselves) {
  const Case c = make_case(4, 40, 64), d = make_case(5, 24, 64);
  const GptqResult both =
      gptq_two_sided(tensor::concatenate({c.weights, d.weights}), c.hessian.diagonal(), c.factor,
                     c.grid, {}, {{40, c.products}, {24, {}}}, 0.02);
  EXPECT_TRUE(same_matrix(take_rows(both.matrix, 0, 40), two_sided(c).matrix));
  const GptqResult alone = gptq(d.weights, c.hessian.diagonal(), c.factor, c.grid, {});
  EXPECT_TRUE(same_matrix(take_rows(both.matrix, 40, 24), alone.matrix));
}

TEST(OutputFeedback, PinnedWeightsStayZero) {
  const Case c = make_case(6, 40, 64);
  const at::Tensor mask = c.weights.abs().gt(0.5).to(at::kByte);
  const GptqResult result = gptq_two_sided(c.weights, c.hessian.diagonal(), c.factor, c.grid, {},
                                           {{40, c.products}}, 0.1, mask);
  EXPECT_EQ(decode(result.matrix).masked_select(mask.eq(0)).abs().max().item<float>(), 0);
}

TEST(OutputFeedback, TheSameBitsAtAnyNumberOfThreads) {
  const Case c = make_case(8, 600, 64);
  const auto with_threads = [&](int threads) {
    const ThreadCount count(threads);
    return two_sided(c).matrix;
  };
  EXPECT_TRUE(same_matrix(with_threads(1), with_threads(3)));
}

TEST(OutputFeedback, OutputsThatNeverMatteredAndFewTokens) {
  Case c = make_case(9, 40, 64);
  c.products.narrow(0, 5, 2).zero_();
  c.products.narrow(1, 5, 2).zero_();
  EXPECT_TRUE(decode(two_sided(c).matrix).isfinite().all().item<bool>());
  const at::Tensor few = random_inputs(10, 3, 40);  // rank 3 of 40
  c.products = second_moment(few);
  EXPECT_TRUE(decode(two_sided(c, {}, 0).matrix).isfinite().all().item<bool>());
  EXPECT_EQ(output_damping_for(256, 0), 1);
  EXPECT_NEAR(output_damping_for(256, 16384), 0.125, 1e-12);
  EXPECT_EQ(output_damping_for(16, 1 << 30), 0.02);
}

TEST(OutputFeedback, SaysWhatDoesNotFit) {
  Case c = make_case(11, 40, 64);
  EXPECT_ANY_THROW(
      gptq_two_sided(c.weights, c.hessian.diagonal(), c.factor, c.grid, {}, {{39, {}}}, 0.1));
  EXPECT_ANY_THROW(gptq_two_sided(c.weights, c.hessian.diagonal(), c.factor, c.grid, {},
                                  {{40, c.products.narrow(0, 0, 39)}}, 0.1));
  c.products[3][3] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_ANY_THROW(two_sided(c));
}

}  // namespace
}  // namespace frugal::layerwise
