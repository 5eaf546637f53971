#include "layerwise/rounding/pre_correct.h"

#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

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

// ‖W*X − WX̃ − (r̃ − r)‖² / T, up to what does not depend on the strengths.
double objective(const at::Tensor& corrected, const Case& c) {
  const at::Tensor x = c.x.to(at::kDouble);
  const at::Tensor goal = at::mm(c.original.to(at::kDouble), c.weights.to(at::kDouble).t()) +
                          (c.original_residual - c.residual).to(at::kDouble);
  return (at::mm(x, corrected.to(at::kDouble).t()) - goal).square().sum().item<double>() /
         static_cast<double>(x.size(0));
}

class ChooseDriftStrength : public testing::TestWithParam<uint64_t> {
 protected:
  // A second draw of the same kind, which the correction has not seen. `kinship`: how much of its
  // drift obeys the first draw's law; the rest is noise.
  static Case held_out(const Case& seen, double kinship, uint64_t seed) {
    Case c = seen;
    c.x = random_inputs(seed + 100, 200, 24);
    const at::Tensor law = random_matrix(5, "law", 24, 24) * 0.2;
    c.original = c.x + kinship * at::mm(c.x, law) +
                 (1 - kinship) * random_matrix(seed + 7, "other", 200, 24);
    c.residual = random_matrix(seed + 100, "residual", 200, 10);
    c.original_residual = c.residual + kinship * c.x.narrow(1, 0, 10) +
                          (1 - kinship) * random_matrix(seed + 9, "more", 200, 10);
    c.drift.input = gather_drift({c.original}, {c.x}, {c.x});
    c.drift.residual = gather_drift({c.original_residual}, {c.residual}, {c.x});
    return c;
  }
  static absl::StatusOr<Case> seen(uint64_t seed, int64_t tokens) {
    Case c;
    c.x = random_inputs(seed, tokens, 24);
    c.original = c.x + at::mm(c.x, random_matrix(5, "law", 24, 24) * 0.2);
    c.residual = random_matrix(seed, "residual", tokens, 10);
    c.original_residual = c.residual + c.x.narrow(1, 0, 10);
    c.weights = random_matrix(1, "weights", 10, 24);
    FRUGAL_ASSIGN_OR_RETURN(
        c.factor, factorize(second_moment(c.x), at::arange(24, at::kLong), {.damping = 1e-6}));
    c.drift.input = gather_drift({c.original}, {c.x}, {c.x});
    c.drift.residual = gather_drift({c.original_residual}, {c.residual}, {c.x});
    return c;
  }
};

TEST_P(ChooseDriftStrength, IsTheBestOfASquareOfStrengths) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Case c, seen(GetParam(), 300));
  for (const double kinship : {1.0, 0.6, 0.0}) {
    const Case other = held_out(c, kinship, GetParam());
    const Correction correction = corrections(c.weights, c.drift, c.factor);
    const DriftStrength chosen =
        choose_drift_strength(c.weights, correction, second_moment(other.x), other.drift);
    const double lowest = objective(pre_correct(c.weights, correction, chosen), other);
    for (int i = 0; i <= 8; ++i) {
      for (int j = 0; j <= 8; ++j) {
        const at::Tensor tried = pre_correct(c.weights, correction, {i / 8.0, j / 8.0});
        EXPECT_LE(lowest, objective(tried, other) * (1 + 1e-5)) << i << " " << j;
      }
    }
  }
}

TEST_P(ChooseDriftStrength, TakesALawInFullAndNoiseHardlyAtAll) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Case c, seen(GetParam(), 3000));
  const Correction correction = corrections(c.weights, c.drift, c.factor);
  const Case law = held_out(c, 1, GetParam()), noise = held_out(c, 0, GetParam());
  const DriftStrength full =
      choose_drift_strength(c.weights, correction, second_moment(law.x), law.drift);
  EXPECT_NEAR(full.alpha, 1, 0.01);
  EXPECT_NEAR(full.beta, 1, 0.01);
  const DriftStrength none =
      choose_drift_strength(c.weights, correction, second_moment(noise.x), noise.drift);
  EXPECT_LT(none.alpha, 0.5);
  EXPECT_LT(none.beta, 0.5);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ChooseDriftStrength, testing::Range<uint64_t>(1, 11));

}  // namespace
}  // namespace frugal::layerwise
