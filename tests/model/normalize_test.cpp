#include "model/normalize.h"

#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "model/toy.h"

namespace frugal::model {
namespace {

at::Tensor random_tensor(at::IntArrayRef shape, std::string_view name) {
  base::RandomStream stream(3, name);
  at::Tensor values = at::empty(shape, at::kDouble);
  for (int64_t i = 0; i < values.numel(); ++i)
    values.mutable_data_ptr<double>()[i] = stream.normal();
  return values.to(at::kFloat);
}

// The definition, in fp64.
at::Tensor by_definition(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  const at::Tensor wide = x.to(at::kDouble);
  return wide / (wide.square().mean(-1, true) + epsilon).sqrt() * weight.to(at::kDouble);
}

TEST(Normalize, EqualsTheDefinition) {
  const at::Tensor x = random_tensor({2, 3, 50}, "x"), weight = random_tensor({50}, "weight");
  const at::Tensor y = rms_norm(x, weight, 1e-5);
  EXPECT_LT(toy::largest_difference(y, by_definition(x, weight, 1e-5)),
            1e-5);  // |y| < 10, a dozen roundings
}

TEST(Normalize, EpsilonKeepsZerosFinite) {
  EXPECT_TRUE(rms_norm(at::zeros({1, 2, 16}), at::ones({16}), 1e-5).equal(at::zeros({1, 2, 16})));
}

TEST(Normalize, Bf16IsComputedInFp32) {
  const at::Tensor x = random_tensor({1, 4, 64}, "x").to(at::kBFloat16);
  const at::Tensor weight = random_tensor({64}, "weight").to(at::kBFloat16);
  const at::Tensor y = rms_norm(x, weight, 1e-5);
  ASSERT_EQ(y.scalar_type(), at::kBFloat16);
  const at::Tensor exact = by_definition(x, weight, 1e-5);
  // Half a unit in the last of 8 bits, and a hair for the fp32 arithmetic before it.
  EXPECT_TRUE(
      ((y.to(at::kDouble) - exact).abs() <= exact.abs() * (1.01 / 256.0)).all().item<bool>());
}

TEST(Normalize, GradientsEqualThoseOfTheDefinition) {
  const auto gradients = [](auto norm) {
    const at::Tensor x = random_tensor({2, 5, 24}, "x").requires_grad_();
    const at::Tensor weight = random_tensor({24}, "weight").requires_grad_();
    const at::Tensor loss = (norm(x, weight) * random_tensor({2, 5, 24}, "direction")).sum();
    return torch::autograd::grad({loss}, {x, weight});
  };
  const auto ours = gradients([](const auto& x, const auto& w) { return rms_norm(x, w, 1e-5); });
  const auto exact =
      gradients([](const auto& x, const auto& w) { return by_definition(x, w, 1e-5); });
  EXPECT_LT(toy::largest_difference(ours[0], exact[0]), 1e-5);
  EXPECT_LT(toy::largest_difference(ours[1], exact[1]), 1e-5);
}

// The definition of LayerNorm, in fp64.
at::Tensor layer_norm_by_definition(const at::Tensor& x, const at::Tensor& weight,
                                    const at::Tensor& bias, double epsilon) {
  const at::Tensor wide = x.to(at::kDouble);
  return by_definition(wide - wide.mean(-1, true), weight, epsilon) + bias.to(at::kDouble);
}

TEST(LayerNorm, EqualsTheDefinitionFarFromZero) {
  const at::Tensor x = random_tensor({2, 3, 50}, "x") + 7.0;
  const at::Tensor weight = random_tensor({50}, "weight"), bias = random_tensor({50}, "bias");
  const at::Tensor y = layer_norm(x, weight, bias, 1e-5);
  // |x| < 11: its rounding, 2^-21, and that of the mean come on top of a dozen of |y| < 10.
  EXPECT_LT(toy::largest_difference(y, layer_norm_by_definition(x, weight, bias, 1e-5)), 2e-5);
  EXPECT_GT(toy::largest_difference(y, rms_norm(x, weight, 1e-5) + bias), 1.0);
}

TEST(LayerNorm, Bf16IsComputedInFp32) {
  const at::Tensor x = (random_tensor({1, 4, 64}, "x") + 3.0).to(at::kBFloat16);
  const at::Tensor weight = random_tensor({64}, "weight").to(at::kBFloat16);
  const at::Tensor bias = random_tensor({64}, "bias").to(at::kBFloat16);
  const at::Tensor y = layer_norm(x, weight, bias, 1e-5);
  ASSERT_EQ(y.scalar_type(), at::kBFloat16);
  const at::Tensor exact = layer_norm_by_definition(x, weight, bias, 1e-5);
  // Half a unit in the last of 8 bits; the fp32 arithmetic before it cancels to 1e-5 at most.
  EXPECT_TRUE(((y.to(at::kDouble) - exact).abs() <= exact.abs() / 256.0 + 1e-5).all().item<bool>());
}

TEST(LayerNorm, GradientsEqualThoseOfTheDefinition) {
  const auto gradients = [](auto norm) {
    const at::Tensor x = random_tensor({2, 5, 24}, "x").requires_grad_();
    const at::Tensor weight = random_tensor({24}, "weight").requires_grad_();
    const at::Tensor bias = random_tensor({24}, "bias").requires_grad_();
    const at::Tensor loss = (norm(x, weight, bias) * random_tensor({2, 5, 24}, "direction")).sum();
    return torch::autograd::grad({loss}, {x, weight, bias});
  };
  const auto ours = gradients(
      [](const auto& x, const auto& w, const auto& b) { return layer_norm(x, w, b, 1e-5); });
  const auto exact = gradients([](const auto& x, const auto& w, const auto& b) {
    return layer_norm_by_definition(x, w, b, 1e-5);
  });
  for (size_t i = 0; i < 3; ++i) EXPECT_LT(toy::largest_difference(ours[i], exact[i]), 1e-5) << i;
}

}  // namespace
}  // namespace frugal::model
