#include "model/routing.h"

#include <torch/csrc/autograd/autograd.h>

#include "model/toy.h"

namespace frugal::model {
namespace {

at::Tensor random_tensor(at::IntArrayRef shape, std::string_view name) {
  base::RandomStream stream(7, name);
  at::Tensor values = at::empty(shape, at::kFloat);
  for (int64_t i = 0; i < values.numel(); ++i)
    values.mutable_data_ptr<float>()[i] = static_cast<float>(stream.normal());
  return values;
}

constexpr int64_t kExperts = 5, kWidth = 6;

// Each expert multiplies by a matrix of its own: what a layer does, without its activation.
at::Tensor by_experts(Routing routing, const std::vector<at::Tensor>& matrices) {
  for (int64_t e = 0; e < kExperts; ++e)
    routing.outputs.push_back(
        at::linear(routing.input_of(e).rows, matrices[static_cast<size_t>(e)]));
  return routing.mixed();
}

std::vector<at::Tensor> matrices() {
  std::vector<at::Tensor> result;
  for (int64_t e = 0; e < kExperts; ++e)
    result.push_back(random_tensor({kWidth, kWidth}, "matrix " + std::to_string(e)));
  return result;
}

// The definition, token by token: sum over its k largest probabilities, in fp64.
at::Tensor by_definition(const at::Tensor& x, const at::Tensor& router,
                         const std::vector<at::Tensor>& experts, int64_t k, bool normalized) {
  const at::Tensor rows = x.reshape({-1, kWidth}).to(at::kDouble);
  const at::Tensor shares = at::matmul(rows, router.to(at::kDouble).t()).softmax(-1);
  at::Tensor result = at::zeros_like(rows);
  for (int64_t token = 0; token < rows.size(0); ++token) {
    const at::Tensor order = shares[token].argsort(-1, /*descending=*/true);
    double total = 0;
    for (int64_t i = 0; i < k; ++i) total += shares[token][order[i]].item<double>();
    for (int64_t i = 0; i < k; ++i) {
      const auto e = order[i].item<int64_t>();
      const double weight = shares[token][e].item<double>() / (normalized ? total : 1.0);
      result[token] +=
          at::matmul(experts[static_cast<size_t>(e)].to(at::kDouble), rows[token]) * weight;
    }
  }
  return result.view(x.sizes());
}

TEST(Routing, EqualsTheDefinition) {
  const at::Tensor x = random_tensor({2, 9, kWidth}, "x"),
                   router = random_tensor({kExperts, kWidth}, "router");
  for (const bool normalized : {true, false}) {
    for (const int64_t k : {1, 2, 5}) {
      const Routing routing = route(x, router, {kExperts, k, normalized});
      // Sums of 30 products of size 1 to 10 in fp32: 30 * 10 * 6e-8.
      EXPECT_LT(toy::largest_difference(by_experts(routing, matrices()),
                                        by_definition(x, router, matrices(), k, normalized)),
                2e-5)
          << k << normalized;
    }
  }
}

TEST(Routing, GroupsTokensByExpert) {
  const at::Tensor x = random_tensor({1, 20, kWidth}, "x"),
                   router = random_tensor({kExperts, kWidth}, "router");
  const Routing routing = route(x, router, {kExperts, 2, true});
  ASSERT_EQ(routing.ends.size(), static_cast<size_t>(kExperts));
  EXPECT_EQ(routing.ends.back(), 40);
  int64_t total = 0;
  for (int64_t e = 0; e < kExperts; ++e) {
    const StageInput input = routing.input_of(e);
    total += routing.tokens_of(e);
    ASSERT_EQ(input.rows.size(0), routing.tokens_of(e));
    if (routing.tokens_of(e) < 2) continue;
    const at::Tensor steps = input.tokens.narrow(0, 1, input.tokens.size(0) - 1) -
                             input.tokens.narrow(0, 0, input.tokens.size(0) - 1);
    EXPECT_GT(steps.min().item<int64_t>(), 0) << "ascending, none twice";
    EXPECT_TRUE(at::equal(input.rows, x[0].index_select(0, input.tokens)));
  }
  EXPECT_EQ(total, 40);
}

// An expert that nobody chooses gets no rows and changes nothing.
TEST(Routing, AnExpertMayBeWithoutTokens) {
  at::Tensor x = random_tensor({1, 8, kWidth}, "x").abs();
  at::Tensor router = random_tensor({kExperts, kWidth}, "router").abs();
  router[3].fill_(-100);
  const Routing routing = route(x, router, {kExperts, 2, true});
  EXPECT_EQ(routing.tokens_of(3), 0);
  EXPECT_EQ(routing.input_of(3).rows.sizes(), at::IntArrayRef({0, kWidth}));
  EXPECT_LT(toy::largest_difference(by_experts(routing, matrices()),
                                    by_definition(x, router, matrices(), 2, true)),
            2e-5);
}

TEST(Routing, MixingWaitsForAllExperts) {
  const Routing routing = route(random_tensor({1, 4, kWidth}, "x"),
                                random_tensor({kExperts, kWidth}, "router"), {kExperts, 2, true});
  EXPECT_THROW(routing.mixed(), c10::Error);
}

// Uniform choices and probabilities give k; all tokens at one expert give E.
TEST(Routing, BalanceIsLeastWhereAllAreChosenAlike) {
  Routing even{.probabilities = at::full({10, kExperts}, 1.0 / kExperts)};
  for (int64_t e = 0; e < kExperts; ++e) even.ends.push_back(4 * (e + 1));  // k = 2 of 10 tokens
  EXPECT_NEAR(balance_loss({even}).item<double>(), 2.0, 1e-6);
  EXPECT_NEAR(balance_loss({even, even}).item<double>(), 2.0, 1e-6);
  Routing one{.probabilities = at::zeros({10, kExperts})};
  one.probabilities.select(1, 0).fill_(1.0);
  one.ends = {10, 10, 10, 10, 10};
  EXPECT_NEAR(balance_loss({one}).item<double>(), kExperts, 1e-6);
  EXPECT_THROW(balance_loss({}), c10::Error);
}

// The router learns through the weights, and through the balance.
TEST(Routing, IsDifferentiable) {
  const at::Tensor x = random_tensor({1, 12, kWidth}, "x");
  const at::Tensor router = random_tensor({kExperts, kWidth}, "router").requires_grad_();
  const Routing routing = route(x, router, {kExperts, 2, true});
  const at::Tensor loss = by_experts(routing, matrices()).square().sum();
  const auto gradient = torch::autograd::grad({loss}, {router}, {}, /*retain_graph=*/true)[0];
  const auto balance = torch::autograd::grad({balance_loss({routing})}, {router})[0];
  constexpr double kStep = 1e-3;
  const at::NoGradGuard no_grad;
  const auto moved = [&](double by) {
    at::Tensor other = router.detach().clone();
    other[1][2] += by;
    return route(x, other, {kExperts, 2, true});
  };
  const auto slope = [&](auto value) {
    return (value(moved(kStep)) - value(moved(-kStep))) / (2 * kStep);
  };
  const double by_loss = slope([&](const Routing& at) {
    return by_experts(at, matrices()).to(at::kDouble).square().sum().template item<double>();
  });
  // Central differences of fp32 values near 1e3: rounding 1e3 * 6e-8 / 1e-3, a hundredth of it.
  EXPECT_NEAR(gradient[1][2].item<double>(), by_loss, 0.1 + 0.01 * std::fabs(by_loss));
  const double by_balance =
      slope([](const Routing& at) { return balance_loss({at}).template item<double>(); });
  EXPECT_NEAR(balance[1][2].item<double>(), by_balance, 1e-3);
}

}  // namespace
}  // namespace frugal::model
