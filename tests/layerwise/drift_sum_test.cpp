#include "layerwise/walk/drift_sum.h"

#include <gtest/gtest.h>

#include "support/random_tensors.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

constexpr int64_t kTokens = 24, kColumns = 16;
constexpr auto kPrecision = model::Precision::kFloat32;
// A mean of 24 products of numbers below 4, summed in fp32: 24 half units in the last place of 24 ·
// 16, over 24.
constexpr double kTolerance = 24 * 16 * 0x1p-24;

at::Tensor activations(const char* name) { return random_matrix(1, name, kTokens, kColumns); }

model::StageInput rows_at(const at::Tensor& x, const std::vector<int64_t>& tokens) {
  const at::Tensor numbers = at::tensor(tokens, at::kLong);
  return {x.index_select(0, numbers), numbers};
}

at::Tensor mean(const at::Tensor& left, const at::Tensor& right, int64_t tokens) {
  return left.to(at::kDouble).t().matmul(right.to(at::kDouble)) / static_cast<double>(tokens);
}

double difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// Of rows of some tokens; where the two models send other tokens to the stage, the drift is that of
// those they share.
TEST(DriftSum, ComparesTheRowsOfTheSameTokens) {
  const at::Tensor original = activations("original"), now = activations("now");
  const at::Tensor weights = random_matrix(1, "weights", 8, kColumns);
  const model::StageProduct product(weights, {8}, kPrecision);
  const at::Tensor residual = random_matrix(1, "residual", kTokens, 8);
  const at::Tensor residual_now = random_matrix(1, "residual now", kTokens, 8);
  const model::StageInput x = rows_at(now, {1, 4, 9, 20});
  const model::StageInput other = rows_at(original, {1, 5, 9, 10, 20});
  DriftSum sum(weights, DriftForm::kInputs, /*residual=*/true, product, at::kCPU);
  const model::TokenFactor factor(x.rows, kPrecision);
  sum.add_input(other, x, factor);
  sum.add_residual(x.rows_of(residual), x.rows_of(residual_now), factor);
  const Drift drift = sum.take(4);
  const at::Tensor shared = at::tensor({1, 9, 20}, at::kLong);
  const at::Tensor at_shared = now.index_select(0, shared);
  EXPECT_LT(
      difference(drift.input, mean(original.index_select(0, shared) - at_shared, at_shared, 4)),
      kTolerance);
  EXPECT_LT(
      difference(drift.residual, mean(x.rows_of(residual) - x.rows_of(residual_now), x.rows, 4)),
      kTolerance);
}

TEST(DriftSum, AllTokensByNumberEqualAllTokens) {
  const at::Tensor original = activations("original"), now = activations("now");
  const at::Tensor weights = random_matrix(1, "weights", 40, kColumns);
  const model::StageProduct product(weights, {40}, kPrecision);
  const model::TokenFactor factor(now, kPrecision);
  const at::Tensor all = at::arange(kTokens, at::kLong);
  DriftSum plain(weights, DriftForm::kOutputs, false, product, at::kCPU);
  plain.add_input({original}, {now}, factor);
  DriftSum numbered(weights, DriftForm::kOutputs, false, product, at::kCPU);
  numbered.add_input({original, all}, {now, all}, factor);
  EXPECT_TRUE(at::equal(plain.take(kTokens).output, numbered.take(kTokens).output));
}

TEST(DriftSum, ModelsThatShareNoTokenHaveNoDrift) {
  const at::Tensor now = activations("now");
  const at::Tensor weights = random_matrix(1, "weights", 8, kColumns);
  const model::StageProduct product(weights, {8}, kPrecision);
  const model::StageInput x = rows_at(now, {0, 1});
  DriftSum sum(weights, DriftForm::kInputs, false, product, at::kCPU);
  sum.add_input(rows_at(now, {2}), x, model::TokenFactor(x.rows, kPrecision));
  EXPECT_EQ(sum.take(2).input.abs().max().item<double>(), 0);
}

}  // namespace
}  // namespace frugal::layerwise
