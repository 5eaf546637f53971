#include "train/autocast.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "tensor/aten.h"

namespace frugal::train {
namespace {

at::ScalarType product_type() {
  const at::Tensor a = at::ones({4, 4});
  return at::mm(a, a).scalar_type();
}

TEST(Autocast, LastsAsLongAsTheObject) {
  EXPECT_EQ(product_type(), at::kFloat);
  {
    const Autocast cast(at::kCPU, at::kBFloat16, true);
    EXPECT_EQ(product_type(), at::kBFloat16);
    {
      const Autocast off(at::kCPU, at::kFloat, false);
      EXPECT_EQ(product_type(), at::kFloat);
    }
    EXPECT_EQ(product_type(), at::kBFloat16);
  }
  EXPECT_EQ(product_type(), at::kFloat);
}

TEST(Autocast, SumsStayWide) {
  const Autocast cast(at::kCPU, at::kBFloat16, true);
  EXPECT_EQ(at::ones({4}).sum().scalar_type(), at::kFloat);
}

// A stale cast kept past a weight update would make training use old weights.
TEST(Autocast, CastsOfWeightsDoNotOutliveIt) {
  at::Tensor weight = at::ones({2, 2}).requires_grad_();
  const at::Tensor x = at::ones({1, 2});
  const auto product = [&] {
    const Autocast cast(at::kCPU, at::kBFloat16, true);
    return at::linear(x, weight).detach()[0][0].to(at::kFloat).item<float>();
  };
  EXPECT_EQ(product(), 2.0F);
  {
    const at::NoGradGuard no_grad;
    weight.mul_(3);
  }
  EXPECT_EQ(product(), 6.0F);
}

}  // namespace
}  // namespace frugal::train
