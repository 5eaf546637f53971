#include "model/products.h"

#include <gtest/gtest.h>

#include "support/random_tensors.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

at::Tensor sum_of(const at::Tensor& left, const at::Tensor& right, model::Precision precision,
                  const at::Tensor& minus = {}) {
  model::ProductSum sum(false);
  for (int64_t begin = 0; begin < left.size(0); begin += 100) {
    const int64_t count = std::min<int64_t>(100, left.size(0) - begin);
    const auto part = [&](const at::Tensor& x) {
      return x.defined() ? x.narrow(0, begin, count) : x;
    };
    sum.add(model::TokenFactor(part(left), precision, part(minus)),
            model::TokenFactor(part(right), precision));
  }
  return sum.take();
}

// Largest error in units of Σ|a||b|.
double relative_error(const at::Tensor& found, const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor exact = at::mm(a.to(at::kDouble).t(), b.to(at::kDouble));
  const at::Tensor size = at::mm(a.to(at::kDouble).abs().t(), b.to(at::kDouble).abs());
  return ((found - exact).abs() / size).max().item<double>();
}

// fp32: sums of 100; rounded: both factors by 2⁻⁹, which bounds their product by 2⁻⁸ + 2⁻¹⁸.
double bound(model::Precision precision) {
  return 101 * 0x1p-24 + (precision == model::Precision::kRounded ? 0x1p-8 + 0x1p-18 : 0);
}

class Products : public testing::TestWithParam<model::Precision> {};

TEST_P(Products, SumsEqualTheirDefinition) {
  const at::Tensor a = random_matrix(1, "a", 250, 70), b = random_matrix(1, "b", 250, 130),
                   c = random_matrix(1, "c", 250, 70);
  EXPECT_LT(relative_error(sum_of(a, b, GetParam()), a, b), bound(GetParam()));
  EXPECT_LT(relative_error(sum_of(a, b, GetParam(), c), a - c, b), bound(GetParam()));
  EXPECT_EQ(sum_of(a, b, GetParam(), a).abs().max().item<double>(), 0);
}

TEST_P(Products, DifferencesAreTakenBeforeRounding) {
  const at::Tensor a = random_matrix(2, "a", 200, 64), b = random_matrix(2, "b", 200, 64);
  const at::Tensor near = a + 1e-4 * b;  // closer than bfloat16 tells apart
  EXPECT_LT(relative_error(sum_of(near, b, GetParam(), a), near - a, b), bound(GetParam()));
}

TEST_P(Products, SymmetricSumsAreSymmetric) {
  const at::Tensor x = random_matrix(3, "x", 120, 200);
  model::ProductSum sum(true);
  const model::TokenFactor factor(x, GetParam());
  sum.add(factor, factor);
  const at::Tensor h = sum.take();
  EXPECT_TRUE(at::equal(h, h.t()));
  EXPECT_LT(relative_error(h, x, x), bound(GetParam()) + 20 * 0x1p-24);
}

TEST_P(Products, StagesEqualTheirDefinition) {
  const at::Tensor stacked = random_matrix(4, "w", 70 + 64 + 3, 90);
  const at::Tensor x = random_matrix(4, "x", 66, 90).view({3, 22, 90});
  const std::vector<at::Tensor> outputs =
      model::StageProduct(stacked, {70, 64, 3}, GetParam()).apply(x);
  ASSERT_EQ(outputs.size(), 3u);
  const std::vector<at::Tensor> matrices = stacked.split_with_sizes({70, 64, 3}, 0);
  for (size_t m = 0; m < 3; ++m) {
    EXPECT_EQ(outputs[m].sizes(), (std::vector<int64_t>{3, 22, matrices[m].size(0)}));
    const at::Tensor rows = outputs[m].reshape({66, -1}).to(at::kDouble);
    EXPECT_LT(relative_error(rows.t(), matrices[m].t(), x.view({66, 90}).t()), bound(GetParam()));
  }
}

TEST_P(Products, VectorsAreRowsOrColumns) {
  const at::Tensor a = random_matrix(6, "a", 70, 90), b = random_matrix(6, "b", 90, 65);
  const at::Tensor at = a.t().contiguous(), bt = b.t().contiguous();
  for (const model::Vectors left : {model::Vectors::kRows, model::Vectors::kColumns}) {
    for (const model::Vectors right : {model::Vectors::kRows, model::Vectors::kColumns}) {
      const at::Tensor found =
          model::vector_products(left == model::Vectors::kRows ? a : at, left,
                                 right == model::Vectors::kRows ? bt : b, right, GetParam());
      EXPECT_LT(relative_error(found, at, b), bound(GetParam()));
    }
  }
}

TEST_P(Products, SameBitsAtAnyThreadCount) {
  const at::Tensor a = random_matrix(5, "a", 230, 150), b = random_matrix(5, "b", 230, 300);
  at::Tensor first;
  for (const int threads : {1, 2, 3}) {
    const ThreadCount count(threads);
    const at::Tensor sum = sum_of(a, b, GetParam());
    if (first.defined()) {
      EXPECT_TRUE(at::equal(sum, first));
    }
    first = sum;
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, Products,
                         testing::Values(model::Precision::kFloat32, model::Precision::kRounded),
                         [](const auto& info) {
                           return info.param == model::Precision::kRounded ? "Rounded" : "Float32";
                         });

}  // namespace
}  // namespace frugal::layerwise
