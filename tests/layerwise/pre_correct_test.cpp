#include "layerwise/pre_correct.h"

#include <ATen/ATen.h>

#include "layerwise/random_tensors.h"
#include "support/shared_data.h"

namespace frugal::layerwise {
namespace {

struct Case {
  at::Tensor x, original, residual, original_residual, weights;
  Factor factor;
  Drift drift;
};

absl::StatusOr<Case> make_case(double drift_size, double damping) {
  Case c;
  c.x = random_inputs(1, 300, 24);
  c.original = c.x + drift_size * random_matrix(1, "drift", 300, 24);
  c.residual = random_matrix(1, "residual", 300, 10);
  c.original_residual =
      c.residual + drift_size * (random_matrix(1, "noise", 300, 10) + c.x.narrow(1, 0, 10));
  c.weights = random_matrix(1, "weights", 10, 24);
  FRUGAL_ASSIGN_OR_RETURN(
      c.factor, factorize(second_moment(c.x), at::arange(24, at::kLong), {.damping = damping}));
  c.drift.input = gather_drift({c.original}, {c.x}, {c.x});
  c.drift.residual = gather_drift({c.original_residual}, {c.residual}, {c.x});
  return c;
}

// Gradient of ‖W X − Y‖² / T by W, largest element: Y [T, rows].
double gradient(const at::Tensor& weights, const at::Tensor& x, const at::Tensor& y) {
  const at::Tensor inputs = x.to(at::kDouble);
  const at::Tensor error = at::mm(inputs, weights.to(at::kDouble).t()) - y;
  return (at::mm(error.t(), inputs) * (2.0 / static_cast<double>(x.size(0))))
      .abs()
      .max()
      .item<double>();
}

TEST(PreCorrect, WithoutDriftNothingChanges) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Case c, make_case(0, 0.01));
  EXPECT_TRUE(at::equal(pre_correct(c.weights, c.drift, c.factor, {1, 1}), c.weights));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Case drifted, make_case(0.3, 0.01));
  EXPECT_TRUE(at::equal(pre_correct(drifted.weights, drifted.drift, drifted.factor, {0, 0}),
                        drifted.weights));
}

TEST(PreCorrect, MinimizesTheErrorAgainstTheOriginalOutputs) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Case c, make_case(0.3, 0));
  const at::Tensor y = at::mm(c.original.to(at::kDouble), c.weights.to(at::kDouble).t());
  const at::Tensor corrected = pre_correct(c.weights, c.drift, c.factor, {1, 0});
  const double before = gradient(c.weights, c.x, y);
  EXPECT_GT(before, 0.1);
  // The moments are fp32 sums (relative 1e-6) and W* is stored in fp32.
  EXPECT_LT(gradient(corrected, c.x, y), 1e-5 * before + 1e-4);
}

TEST(PreCorrect, ResidualDriftIsAddedToTheTarget) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Case c, make_case(0.3, 0));
  const at::Tensor y = at::mm(c.original.to(at::kDouble), c.weights.to(at::kDouble).t()) +
                       (c.original_residual - c.residual).to(at::kDouble);
  const at::Tensor corrected = pre_correct(c.weights, c.drift, c.factor, {1, 1});
  EXPECT_LT(gradient(corrected, c.x, y), 1e-5 * gradient(c.weights, c.x, y) + 1e-4);
}

TEST(PreCorrect, SharesAreLinear) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Case c, make_case(0.3, 0.01));
  const at::Tensor whole = pre_correct(c.weights, c.drift, c.factor, {1, 1}) - c.weights;
  const at::Tensor half = pre_correct(c.weights, c.drift, c.factor, {0.5, 0.5}) - c.weights;
  EXPECT_LT((whole - 2 * half).abs().max().item<double>(), 1e-5);
}

}  // namespace
}  // namespace frugal::layerwise
