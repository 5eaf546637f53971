#include "train/optimizer.h"

#include <cmath>

#include "train/toy.h"

namespace frugal::train {
namespace {

using Parameters = std::map<std::string, at::Tensor, std::less<>>;

Parameters example() {
  return {{"matrix", toy::random_tensor({4, 5}, "matrix").requires_grad_()},
          {"norm", toy::random_tensor({6}, "norm").requires_grad_()}};
}

void set_gradient(const at::Tensor& parameter, const at::Tensor& gradient) {
  at::Tensor handle = parameter;
  handle.mutable_grad() = gradient;
}

TEST(AdamW, EqualsTheFormula) {
  Parameters parameters = example();
  const AdamWOptions options{.beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-6, .weight_decay = 0.3};
  AdamW optimizer(parameters, options);
  std::map<std::string, at::Tensor> w, m, v;
  for (const auto& [name, value] : parameters) {
    w[name] = value.detach().to(at::kDouble).clone();
    m[name] = at::zeros_like(w[name]);
    v[name] = at::zeros_like(w[name]);
  }
  for (int step = 1; step <= 5; ++step) {
    const double rate = 0.1 / step;
    for (const auto& [name, value] : parameters) {
      const at::Tensor g = toy::random_tensor(value.sizes(), base::str_cat(name, step));
      set_gradient(value, g);
      if (value.dim() == 2) w[name] = w[name] * (1 - rate * options.weight_decay);
      m[name] = m[name] * 0.8 + g.to(at::kDouble) * 0.2;
      v[name] = v[name] * 0.9 + g.to(at::kDouble).square() * 0.1;
      const at::Tensor unbiased = (v[name] / (1 - std::pow(0.9, step))).sqrt() + options.epsilon;
      w[name] = w[name] - rate * (m[name] / (1 - std::pow(0.8, step))) / unbiased;
    }
    optimizer.step(rate);
  }
  EXPECT_EQ(optimizer.steps_done(), 5);
  for (const auto& [name, value] : parameters) {
    EXPECT_LT(model::toy::largest_difference(value.detach(), w[name]), 2e-6)
        << name;  // 5 steps of fp32
  }
}

TEST(AdamW, ClippingScalesAllGradientsByOneNumber) {
  Parameters parameters = example();
  AdamW optimizer(parameters, {});
  set_gradient(parameters["matrix"], at::full({4, 5}, 3.0));
  set_gradient(parameters["norm"], at::full({6}, -4.0));
  const double norm = std::sqrt(20 * 9.0 + 6 * 16.0);
  EXPECT_NEAR(optimizer.clip_gradients(0).item<double>(), norm, 1e-5);
  EXPECT_EQ(parameters["norm"].grad()[0].item<float>(), -4.0F);
  EXPECT_NEAR(optimizer.clip_gradients(2.0).item<double>(), norm, 1e-5);
  EXPECT_NEAR(parameters["norm"].grad()[0].item<double>(), -4.0 * 2.0 / norm, 1e-5);
  EXPECT_NEAR(optimizer.clip_gradients(5.0).item<double>(), 2.0, 1e-5);
  EXPECT_NEAR(parameters["matrix"].grad()[0][0].item<double>(), 3.0 * 2.0 / norm, 1e-5);
}

TEST(AdamW, MissingGradientsAndHalfWeightsAreRefused) {
  Parameters parameters = example();
  AdamW optimizer(parameters, {});
  set_gradient(parameters["matrix"], at::zeros({4, 5}));
  EXPECT_THROW(optimizer.step(0.1), c10::Error);
  EXPECT_THROW(AdamW({{"w", at::zeros({2, 2}, at::kBFloat16)}}, {}), c10::Error);
}

}  // namespace
}  // namespace frugal::train
