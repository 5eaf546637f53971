#include "layerwise/rounding/factor.h"

#include <limits>

#include "layerwise/rounding/order.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

at::Tensor natural(int64_t columns) { return at::arange(columns, at::kLong); }

// ‖UᵀU (H + λI) − I‖ in processing order.
double identity_error(const Factor& f) {
  const at::Tensor damped = f.damped.index_select(0, f.order).index_select(1, f.order);
  const at::Tensor product = at::mm(at::mm(f.upper.t(), f.upper), damped);
  return (product - at::eye(product.size(0), at::kDouble)).abs().max().item<double>();
}

TEST(Factor, InvertsTheDampedHessian) {
  for (const int64_t columns : {1, 5, 128, 129, 300}) {
    const at::Tensor h = second_moment(random_inputs(7, 2 * columns, columns));
    const at::Tensor order = column_order(h.diagonal(), 1, ColumnOrder::kGroupAware);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor f, factorize(h, order, {}));
    // fp64 with a condition number of at most trace / λ <= 100 columns and a channel spread of e^8.
    EXPECT_LT(identity_error(f), 1e-8) << columns;
    EXPECT_EQ(f.upper.tril(-1).abs().max().item<double>(), 0);
    EXPECT_EQ(f.recoveries, 0);
    EXPECT_TRUE(f.dead.empty());
    const double lambda = 0.01 * h.diagonal().mean().item<double>();
    EXPECT_NEAR((f.damped - h).diagonal().mean().item<double>(), lambda, 1e-12 * lambda + 1e-15);
  }
}

TEST(Factor, EqualsTheReferenceChain) {
  const at::Tensor h = second_moment(random_inputs(8, 400, 150));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor f, factorize(h, natural(150), {}));
  const at::Tensor reference = at::linalg_cholesky(at::linalg_inv(f.damped), /*upper=*/true);
  EXPECT_LT(((f.upper - reference).abs().max() / reference.abs().max()).item<double>(), 1e-9);
}

TEST(Factor, RankOneNeedsNoRecovery) {
  const at::Tensor x = random_matrix(9, "x", 1, 40);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor f, factorize(second_moment(x), natural(40), {}));
  EXPECT_EQ(f.recoveries, 0);
  EXPECT_LT(identity_error(f), 1e-9);
}

TEST(Factor, DeadColumnsStandAlone) {
  at::Tensor x = random_inputs(10, 100, 20);
  x.select(1, 3).zero_();
  x.select(1, 19).zero_();
  const at::Tensor h = second_moment(x);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor f, factorize(h, natural(20), {}));
  EXPECT_EQ(f.dead, (std::vector<int64_t>{3, 19}));
  const double mean = h.diagonal().sum().item<double>() / 18;  // of live columns only
  // The order of 18 additions is the CPU's.
  EXPECT_NEAR(f.damped[3][3].item<double>(), mean, 18 * 0x1p-53 * mean);
  EXPECT_EQ(f.damped[3].abs().sum().item<double>(), f.damped[3][3].item<double>());
  EXPECT_NEAR(f.damped[0][0].item<double>(), h[0][0].item<double>() + 0.01 * mean, 1e-12 * mean);
}

TEST(Factor, AllDeadIsTheIdentity) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor f,
                              factorize(at::zeros({4, 4}, at::kDouble), natural(4), {}));
  EXPECT_TRUE(at::equal(f.upper, at::eye(4, at::kDouble)));
}

TEST(Factor, IndefiniteIsRecoveredAndReported) {
  at::Tensor h = second_moment(random_inputs(11, 60, 12));
  const double mean = h.diagonal().mean().item<double>();
  h.select(0, 0).zero_();
  h.select(1, 0).zero_();
  h[0][0] =
      1e-3 *
      mean;  // with H_01 the leading 2 x 2 determinant is negative until damping reaches some 5%
  h[0][1] = 0.25 * mean;
  h[1][0] = 0.25 * mean;
  h[1][1] = mean;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor f, factorize(h, natural(12), {}));
  EXPECT_GT(f.recoveries, 0);
  EXPECT_GT(f.damping, 0.01);
  EXPECT_LT(identity_error(f), 1e-6);
}

TEST(Factor, StronglyIndefiniteNeedsTheFloor) {
  at::Tensor h = at::eye(3, at::kDouble);
  h[0][1] = h[1][0] = 2.05;  // eigenvalue -1.05: a damping of 1 is not enough
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor f, factorize(h, natural(3), {}));
  EXPECT_EQ(f.damping, 1.0);
  EXPECT_GT(f.recoveries, 7);
}

TEST(Factor, HopelessAndNanAreErrors) {
  at::Tensor h = at::eye(3, at::kDouble);
  h[0][1] = h[1][0] = 50;
  FRUGAL_EXPECT_ERROR(factorize(h, natural(3), {}), absl::StatusCode::kFailedPrecondition,
                      "not positive definite");
  h[0][1] = h[1][0] = std::numeric_limits<double>::quiet_NaN();
  FRUGAL_EXPECT_ERROR(factorize(h, natural(3), {}), absl::StatusCode::kFailedPrecondition, "NaN");
}

TEST(Factor, SolvesInTheMatrixsColumnOrder) {
  const at::Tensor h = second_moment(random_inputs(12, 90, 40));
  const at::Tensor order = column_order(h.diagonal(), 8, ColumnOrder::kGroupAware);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor f, factorize(h, order, {}));
  const at::Tensor m = random_matrix(12, "m", 7, 40);
  const at::Tensor solved = multiply_inverse(m, f);
  EXPECT_LT((at::mm(solved, f.damped) - m).abs().max().item<double>(), 1e-8);
  const at::Tensor inverse = at::linalg_inv(f.damped);
  EXPECT_LT(
      ((inverse_diagonal(f) - inverse.diagonal()) / inverse.diagonal()).abs().max().item<double>(),
      1e-8);
}

TEST(Factor, SameBitsAtAnyThreadCount) {
  const at::Tensor h = second_moment(random_inputs(13, 600, 400));
  at::Tensor upper;
  for (const int threads : {1, 2, 3}) {
    const ThreadCount count(threads);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor f, factorize(h, natural(400), {}));
    EXPECT_TRUE(!upper.defined() || at::equal(f.upper, upper)) << threads;
    upper = f.upper;
  }
}

TEST(Damping, FallsWithTokensWithinItsBounds) {
  EXPECT_DOUBLE_EQ(damping_for(1024, 1024 * 100), 0.075);
  EXPECT_DOUBLE_EQ(damping_for(1024, 4 * 1024 * 100), 0.0375);
  EXPECT_EQ(damping_for(1024, 1 << 30), 0.01);
  EXPECT_EQ(damping_for(1024, 10), 0.2);
  EXPECT_EQ(damping_for(1024, 0), 0.2);
}

}  // namespace
}  // namespace frugal::layerwise
