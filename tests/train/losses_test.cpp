#include "train/losses.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "train/toy.h"

namespace frugal::train {
namespace {

using model::toy::largest_difference;
constexpr int64_t kTokens = 23, kWidth = 12, kTeacherWidth = 20, kVocabulary = 31;

LossInput example() {
  LossInput input;
  input.hidden = toy::random_tensor({kTokens, kWidth}, "hidden").requires_grad_();
  input.head.weight = toy::random_tensor({kVocabulary, kWidth}, "head", 0.5).requires_grad_();
  input.targets =
      (toy::random_tensor({kTokens}, "targets").abs() * 1000).to(at::kLong) % kVocabulary;
  input.teacher_hidden = toy::random_tensor({kTokens, kTeacherWidth}, "teacher hidden");
  input.teacher_head.weight = toy::random_tensor({kVocabulary, kTeacherWidth}, "teacher head", 0.5);
  return input;
}

// The definition over whole logits in fp64.
at::Tensor by_definition(const LossInput& input, double alpha, double t, double divisor) {
  const at::Tensor z = at::mm(input.hidden.to(at::kDouble), input.head.weight.to(at::kDouble).t());
  const at::Tensor target =
      at::mm(input.teacher_hidden.to(at::kDouble), input.teacher_head.weight.to(at::kDouble).t());
  const at::Tensor ce = -z.log_softmax(-1).gather(1, input.targets.unsqueeze(1)).sum();
  const at::Tensor p = (target / t).softmax(-1);
  const at::Tensor kl = (p * ((target / t).log_softmax(-1) - (z / t).log_softmax(-1))).sum();
  return ((1 - alpha) * ce + alpha * t * t * kl) / divisor;
}

struct Case {
  double alpha, temperature;
  int64_t chunk;
};
class HeadLossTest : public ::testing::TestWithParam<Case> {};

TEST_P(HeadLossTest, ValueAndGradientsEqualTheDefinition) {
  const auto [alpha, t, chunk] = GetParam();
  const LossInput input = example();
  const LossValue ours = head_loss(input, {alpha, t, chunk}, 17.0);
  const at::Tensor exact = by_definition(input, alpha, t, 17.0);
  // Sums of 23 tokens' fp32 terms below 100: a few dozen roundings of 6e-8 relative.
  EXPECT_NEAR(ours.loss.item<double>(), exact.item<double>(),
              1e-5 * (1 + std::abs(exact.item<double>())));
  const auto got = torch::autograd::grad({ours.loss * 3.0}, {input.hidden, input.head.weight});
  const auto wanted = torch::autograd::grad({exact * 3.0}, {input.hidden, input.head.weight});
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_LT(largest_difference(got[i], wanted[i]), 2e-5) << i;
    EXPECT_GT(wanted[i].abs().max().item<double>(), 1e-2);
  }
}

INSTANTIATE_TEST_SUITE_P(Mixtures, HeadLossTest,
                         ::testing::Values(Case{0.0, 1.0, 5}, Case{1.0, 1.0, 5}, Case{1.0, 2.5, 23},
                                           Case{0.5, 2.0, 7}, Case{0.3, 1.0, 1000}));

TEST(HeadLoss, GradientsAreFiniteDifferences) {
  LossInput input = example();
  const LossOptions options{0.6, 2.0, 8};
  const auto gradients = torch::autograd::grad({head_loss(input, options, kTokens).loss},
                                               {input.hidden, input.head.weight});
  const at::NoGradGuard no_grad;
  const auto value = [&] { return by_definition(input, 0.6, 2.0, kTokens).item<double>(); };
  for (int64_t i = 0; i < 2; ++i) {
    const at::Tensor& tensor = i == 0 ? input.hidden : input.head.weight;
    for (const int64_t at : {int64_t{0}, int64_t{37}, int64_t{200}}) {
      const at::Tensor place = tensor.view({-1})[at];
      const double before = place.item<double>();
      constexpr double kStep = 1.0 / 256;  // exact in fp32 beside values of order 1
      place.fill_(before + kStep);
      const double up = value();
      place.fill_(before - kStep);
      const double down = value();
      place.fill_(before);
      // Central differences: error step²/6 times the third derivative, of order 1.
      EXPECT_NEAR(gradients[static_cast<size_t>(i)].view({-1})[at].item<double>(),
                  (up - down) / (2 * kStep), 1e-4);
    }
  }
}

TEST(HeadLoss, ChunksDoNotMatter) {
  const auto gradients = [](int64_t chunk) {
    const LossInput input = example();
    return torch::autograd::grad({head_loss(input, {0.5, 2.0, chunk}, kTokens).loss},
                                 {input.hidden, input.head.weight});
  };
  const auto whole = gradients(1000);
  for (const int64_t chunk : {1, 4, 22, 23}) {
    const auto pieces = gradients(chunk);
    EXPECT_LT(largest_difference(pieces[0], whole[0]), 1e-6);
    EXPECT_LT(largest_difference(pieces[1], whole[1]), 1e-6);
  }
}

TEST(HeadLoss, AStudentThatIsItsTeacherHasNoDivergenceAndNoGradient) {
  LossInput input = example();
  input.teacher_hidden = input.hidden.detach().clone();
  input.teacher_head.weight = input.head.weight.detach().clone();
  for (const double t : {1.0, 4.0}) {
    const LossValue value = head_loss(input, {1.0, t, 6}, kTokens);
    EXPECT_NEAR(value.loss.item<double>(), 0.0, 1e-6);
    for (const at::Tensor& gradient :
         torch::autograd::grad({value.loss}, {input.hidden, input.head.weight})) {
      EXPECT_LT(gradient.abs().max().item<double>(), 1e-6);
    }
  }
}

// At high temperature T² KL tends to half the variance of the centered logit difference: that is
// what T² is for.
TEST(HeadLoss, TheSquareOfTheTemperatureKeepsTheScale) {
  const LossInput input = example();
  const at::Tensor z = at::mm(input.hidden, input.head.weight.t()),
                   w = at::mm(input.teacher_hidden, input.teacher_head.weight.t());
  const at::Tensor difference = (z - w) - (z - w).mean(-1, true);
  const double limit = 0.5 * difference.to(at::kDouble).square().mean(-1).sum().item<double>();
  const double t = 300.0;
  const LossValue value = head_loss(input, {1.0, t, 100}, 1.0);
  EXPECT_NEAR(value.loss.item<double>(), limit,
              0.05 * limit);  // next order: |z| / T, some 10 / 300
  EXPECT_NEAR(value.divergence.item<double>() * t * t, value.loss.item<double>(), 1e-4 * limit);
}

TEST(HeadLoss, WithoutGradientsTheValueIsTheSame) {
  const LossInput input = example();
  const LossOptions options{0.4, 1.5, 9};
  const LossValue with = head_loss(input, options, 5.0);
  const at::NoGradGuard no_grad;
  const LossValue without = head_loss(input, options, 5.0);
  EXPECT_EQ(with.loss.item<float>(), without.loss.item<float>());
  EXPECT_EQ(with.cross_entropy.item<double>(), without.cross_entropy.item<double>());
  EXPECT_FALSE(without.loss.requires_grad());
}

TEST(HeadLoss, Bf16ProductsStayClose) {
  const LossInput input = example();
  LossOptions options{0.5, 2.0, 8};
  const double exact = head_loss(input, options, kTokens).loss.item<double>();
  options.product_type = at::kBFloat16;
  const LossValue value = head_loss(input, options, kTokens);
  EXPECT_NEAR(value.loss.item<double>(), exact,
              0.02 * exact);  // logits of order 10 rounded to 8 bits
  const auto gradients = torch::autograd::grad({value.loss}, {input.hidden, input.head.weight});
  EXPECT_EQ(gradients[1].scalar_type(), at::kFloat);
}

TEST(HeadLoss, NoTokensGiveZero) {
  LossInput input = example();
  input.hidden = at::zeros({0, kWidth}).requires_grad_();
  input.targets = at::zeros({0}, at::kLong);
  const LossValue value = head_loss(input, {}, 1.0);
  EXPECT_EQ(value.loss.item<float>(), 0.0F);
  EXPECT_EQ(torch::autograd::grad({value.loss}, {input.head.weight})[0].abs().max().item<float>(),
            0.0F);
}

TEST(HeadLoss, ShapesThatDoNotFitAreRefused) {
  LossInput input = example();
  input.teacher_hidden = input.teacher_hidden.narrow(0, 0, 5);
  EXPECT_THROW(head_loss(input, {0.5}, 1.0), c10::Error);
  EXPECT_THROW(head_loss(example(), {.distillation_weight = 1.5}, 1.0), c10::Error);
  input = example();
  input.targets = input.targets.narrow(0, 0, 5);
  EXPECT_THROW(head_loss(input, {}, 1.0), c10::Error);
}

TEST(CountedRows, NeedTheMaskAndTheSameDocument) {
  const at::Tensor ids = at::tensor({5, 6, 7, 8, 9, 0, 1, 2, 3, 4}, at::kLong).view({2, 5});
  const at::Tensor segments = at::tensor({0, 0, 1, 1, -1, 0, 0, 0, 0, 0}, at::kInt).view({2, 5});
  const at::Tensor mask = at::tensor({1, 1, 1, 1, 0, 0, 0, 1, 0, 1}, at::kByte).view({2, 5});
  const CountedRows rows = counted_rows(ids, mask, segments);
  // Row 0: 5 -> 6, 7 -> 8; not 6 -> 7 (another document) nor 8 -> 9 (padding). Row 1: 1 -> 2, 3
  // -> 4.
  EXPECT_TRUE(rows.places.equal(at::tensor({0, 2, 5, 7}, at::kLong)));
  EXPECT_TRUE(rows.targets.equal(at::tensor({6, 8, 2, 4}, at::kLong)));
}

// Logits that are scaled and bounded: the loss and its gradients are those of the definition.
TEST(HeadLoss, FollowsTheRuleOfLogits) {
  LossInput input = example();
  input.head.rule = {.scale = 0.5, .cap = 2.0};
  input.teacher_head.rule = {.scale = 2.0, .cap = std::nullopt};
  const LossOptions options{.distillation_weight = 0.4, .temperature = 1.5, .chunk_tokens = 3};
  const LossValue ours = head_loss(input, options, kTokens);
  const auto logits = [](const at::Tensor& hidden, const model::Head& head) {
    at::Tensor z =
        at::mm(hidden.to(at::kDouble), head.weight.to(at::kDouble).t()) * head.rule.scale;
    return head.rule.cap ? (z / *head.rule.cap).tanh() * *head.rule.cap : z;
  };
  const at::Tensor z = logits(input.hidden, input.head),
                   w = logits(input.teacher_hidden, input.teacher_head);
  const at::Tensor teacher_log = (w / 1.5).log_softmax(-1), student_log = (z / 1.5).log_softmax(-1);
  const at::Tensor exact =
      (at::cross_entropy_loss(z, input.targets, {}, at::Reduction::Sum) * 0.6 +
       (teacher_log.exp() * (teacher_log - student_log)).sum() * (0.4 * 1.5 * 1.5)) /
      kTokens;
  EXPECT_NEAR(ours.loss.item<double>(), exact.item<double>(), 1e-5 * exact.item<double>());
  const auto got = torch::autograd::grad({ours.loss}, {input.hidden, input.head.weight});
  const auto wanted = torch::autograd::grad({exact}, {input.hidden, input.head.weight});
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_LT((got[i] - wanted[i]).abs().max().item<double>(),
              1e-5 * wanted[i].abs().max().item<double>() + 1e-7);
  }
}

}  // namespace
}  // namespace frugal::train
