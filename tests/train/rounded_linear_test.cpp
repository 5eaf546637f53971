#include "train/rounded_linear.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "tensor/aten.h"

namespace frugal::train {
namespace {

// Largest error in units of Σ|a||b| over the inner dimension of a · b.
double relative_error(const at::Tensor& found, const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.to(at::kDouble), y = b.to(at::kDouble);
  return ((found - at::mm(x, y)).abs() / at::mm(x.abs(), y.abs())).max().item<double>();
}

// Both factors rounded by at most 2⁻⁹ of themselves, and fp32 sums of at most 100 terms.
constexpr double kBound = 0x1p-8 + 0x1p-18 + 101 * 0x1p-24;

TEST(RoundedLinear, ForwardAndBackwardEqualTheirDefinition) {
  at::manual_seed(1);
  const at::Tensor x = at::randn({2, 35, 100}).requires_grad_(true);
  const at::Tensor w = at::randn({70, 100}).requires_grad_(true);
  const at::Tensor y = rounded_linear(x, w);
  ASSERT_EQ(y.sizes(), (std::vector<int64_t>{2, 35, 70}));
  const at::Tensor flat = x.detach().reshape({70, 100}), weight = w.detach();
  EXPECT_LT(relative_error(y.detach().reshape({70, 70}), flat, weight.t()), kBound);

  const at::Tensor upstream = at::randn({2, 35, 70});
  const auto gradients = torch::autograd::grad({y}, {x, w}, {upstream});
  const at::Tensor dy = upstream.reshape({70, 70});
  EXPECT_EQ(gradients[0].sizes(), x.sizes());
  EXPECT_LT(relative_error(gradients[0].reshape({70, 100}), dy, weight), kBound);
  EXPECT_LT(relative_error(gradients[1], dy.t(), flat), kBound);
}

TEST(RoundedLinear, AFrozenWeightHasNoGradient) {
  const at::Tensor x = at::ones({3, 8}).requires_grad_(true), w = at::ones({2, 8});
  const auto gradients = torch::autograd::grad({rounded_linear(x, w).sum()}, {x});
  EXPECT_TRUE(at::equal(gradients[0], at::full({3, 8}, 2.0)));
}

}  // namespace
}  // namespace frugal::train
