#include "evaluate/paired.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/shared_data.h"

namespace frugal::evaluate {
namespace {

struct Pair {
  std::vector<double> candidate, reference;
};

Pair right_wrong(int64_t both, int64_t neither, int64_t candidate_only, int64_t reference_only) {
  Pair pair;
  const auto add = [&](int64_t count, double candidate, double reference) {
    pair.candidate.insert(pair.candidate.end(), count, candidate);
    pair.reference.insert(pair.reference.end(), count, reference);
  };
  add(both, 1, 1);
  add(neither, 0, 0);
  add(candidate_only, 1, 0);
  add(reference_only, 0, 1);
  return pair;
}

NonInferiority tested(const Pair& pair, const Margin& margin) {
  const auto result = non_inferiority(pair.candidate, pair.reference, margin);
  EXPECT_TRUE(result.ok()) << result.status();
  return *result;
}

// References: 2 sum_{i <= min} C(n, i) / 2^n in Python fractions; normal: statistics.NormalDist.
TEST(McNemarTest, MatchesExactFractions) {
  EXPECT_NEAR(mcnemar_exact(5, 15).p_value, 0.04138946533203125, 1e-12);
  EXPECT_NEAR(mcnemar_exact(0, 6).p_value, 0.03125, 1e-13);
  EXPECT_EQ(mcnemar_exact(3, 3).p_value, 1.0);
  EXPECT_EQ(mcnemar_exact(0, 0).p_value, 1.0);
  EXPECT_NEAR(mcnemar_exact(400, 460).p_value, 0.04416954819458901, 1e-11);
  EXPECT_NEAR(mcnemar_normal(5, 15).p_value, 0.02534731867746831, 1e-12);
  EXPECT_NEAR(mcnemar_normal(28, 12).p_value, 0.011412036386001634, 1e-12);
  EXPECT_EQ(mcnemar_normal(0, 0).p_value, 1.0);
}

TEST(McNemarTest, IsExactForFewDiscordantItems) {
  EXPECT_EQ(mcnemar(400, 600).method, "exact");
  EXPECT_EQ(mcnemar(400, 601).method, "normal");
  EXPECT_NEAR(mcnemar(500, 560).p_value, mcnemar_exact(500, 560).p_value, 0.005);
}

TEST(PairedShareTest, AddsHalfAnItemToEachCell) {
  // b 10, c 20, n 100: d = -10/102, SE = sqrt(31 - 100/102)/102, worked out in Python.
  const Interval interval = paired_share_interval(10, 20, 100);
  EXPECT_NEAR(interval.low, -0.20332032, 1e-8);
  EXPECT_NEAR(interval.high, 0.00724189, 1e-8);
  EXPECT_EQ(interval.n, 100);
  const Interval without_flips = paired_share_interval(0, 0, 100);
  EXPECT_LT(without_flips.low, 0.0);
  EXPECT_DOUBLE_EQ(without_flips.high, -without_flips.low);
}

// 4,000 simulated pairs of 200 items: coverage has a standard error of 0.0034.
TEST(PairedShareTest, CoversTheTruthAsOftenAsItSays) {
  base::RandomStream random(17, "test/paired_share");
  int covered = 0;
  for (int trial = 0; trial < 4000; ++trial) {
    int64_t won = 0, lost = 0;
    for (int i = 0; i < 200; ++i) {
      const double u = random.uniform();
      won += u < 0.04 ? 1 : 0;
      lost += u >= 0.04 && u < 0.10 ? 1 : 0;
    }
    const Interval interval = paired_share_interval(won, lost, 200);
    covered += interval.low <= -0.02 && -0.02 <= interval.high ? 1 : 0;
  }
  EXPECT_NEAR(covered / 4000.0, 0.95, 0.02);
}

TEST(NonInferiorityTest, StandardErrorIsThatOfThePairs) {
  // n 1000, 60 lost, 40 won: delta -0.02, psi 0.1, SE^2 = (0.1 - 0.0004) / 1000.
  const NonInferiority r = tested(right_wrong(800, 100, 40, 60), {0.05});
  EXPECT_NEAR(r.difference, -0.02, 1e-12);
  EXPECT_NEAR(r.discordance, 0.1, 1e-12);
  EXPECT_NEAR(r.standard_error, std::sqrt(0.0996 / 1000), 1e-12);
  EXPECT_NEAR(r.one_sided_low, -0.02 - 1.6448536269514715 * std::sqrt(0.0996 / 1000), 1e-12);
  EXPECT_EQ(r.verdict, Verdict::kClaimed);
  EXPECT_NE(r.explanation.find("n 1000"), std::string::npos) << r.explanation;
}

// Items for 2 points, one-sided 5%, power 80%, no true loss: 773, 1,546, 3,092.
TEST(NonInferiorityTest, PlansTheItemsNeeded) {
  EXPECT_EQ(tested(right_wrong(1800, 100, 50, 50), {0.02}).items_needed, 773);
  EXPECT_EQ(tested(right_wrong(1700, 100, 100, 100), {0.02}).items_needed, 1546);
  EXPECT_EQ(tested(right_wrong(1500, 100, 200, 200), {0.02}).items_needed, 3092);
}

// SST-2 has 872 examples; at psi 0.1 no margin under 2.7 points can be proved.
TEST(NonInferiorityTest, RefusesTwoPercentOnSst2) {
  const NonInferiority r = tested(right_wrong(700, 84, 44, 44), {0.02});
  EXPECT_EQ(r.n, 872);
  EXPECT_NEAR(r.smallest_margin, 0.0268, 1e-4);  // 2.4865 sqrt(88 / 872 / 872)
  EXPECT_GT(r.smallest_margin, 0.02);
  const NonInferiority slightly_worse = tested(right_wrong(700, 84, 42, 46), {0.02});
  EXPECT_EQ(slightly_worse.verdict, Verdict::kTooFewItems) << slightly_worse.explanation;
}

TEST(NonInferiorityTest, ItemsWithoutAFlipProveLittle) {
  // The loss allowed is 2%; 0 of n lost excludes it at 5% only from about n = 1.645^2 * 0.98 / 0.02
  // = 133 on.
  EXPECT_EQ(tested(right_wrong(20, 0, 0, 0), {0.02}).verdict, Verdict::kTooFewItems);
  EXPECT_EQ(tested(right_wrong(132, 0, 0, 0), {0.02}).verdict, Verdict::kTooFewItems);
  EXPECT_EQ(tested(right_wrong(133, 0, 0, 0), {0.02}).verdict, Verdict::kClaimed);
  EXPECT_EQ(tested(right_wrong(133, 0, 0, 0), {0.02}).items_needed, 133);
  EXPECT_NEAR(tested(right_wrong(133, 0, 0, 0), {0.02}).smallest_margin, 0.02, 1e-3);
}

TEST(NonInferiorityTest, ALossBeyondTheMarginIsNotClaimed) {
  EXPECT_EQ(tested(right_wrong(600, 200, 20, 180), {0.02}).verdict, Verdict::kNotClaimed);
  // Enough items, no evidence of harm beyond the margin, yet the claim fails.
  EXPECT_EQ(tested(right_wrong(4500, 300, 80, 175), {0.02}).verdict, Verdict::kNotClaimed);
}

TEST(NonInferiorityTest, RelativeMarginIsAShareOfTheReference) {
  // Reference right on 700 of 1000: 2% of it is 1.4 points.
  const Pair pair = right_wrong(680, 290, 10, 20);
  const NonInferiority relative = tested(pair, {0.02, MarginKind::kRelative});
  EXPECT_NEAR(relative.margin, 0.014, 1e-12);
  // mean(s - 0.98 r) - z SE > 0 is the same as one_sided_low > -margin.
  std::vector<double> d;
  for (size_t i = 0; i < pair.candidate.size(); ++i) {
    d.push_back(pair.candidate[i] - 0.98 * pair.reference[i]);
  }
  EXPECT_NEAR(relative.one_sided_low + relative.margin,
              mean(d) - 1.6448536269514715 * std::sqrt(variance(d) / 1000), 1e-12);
  EXPECT_LT(relative.margin, tested(pair, {0.02}).margin);
}

TEST(NonInferiorityTest, RefusesWhatMakesNoSense) {
  const std::vector<double> two = {1, 0}, three = {1, 0, 1}, zero = {0, 0};
  const std::vector<double> nan = {1, std::nan("")};
  using absl::StatusCode;
  FRUGAL_EXPECT_ERROR(non_inferiority(two, three, {0.02}), StatusCode::kInvalidArgument,
                      "2 candidate");
  FRUGAL_EXPECT_ERROR(non_inferiority({}, {}, {0.02}), StatusCode::kInvalidArgument, "no items");
  FRUGAL_EXPECT_ERROR(non_inferiority(two, nan, {0.02}), StatusCode::kInvalidArgument, "finite");
  FRUGAL_EXPECT_ERROR(non_inferiority(two, two, {0.0}), StatusCode::kInvalidArgument, "above 0");
  FRUGAL_EXPECT_ERROR(non_inferiority(two, zero, (Margin{0.02, MarginKind::kRelative})),
                      StatusCode::kInvalidArgument, "absolute margin");
  FRUGAL_EXPECT_ERROR(parse_margin_kind("percent"), StatusCode::kInvalidArgument, "relative");
}

// One draw of n right/wrong pairs with the given chances of a win and a loss.
Pair simulate(int64_t n, double won, double lost, base::RandomStream& random) {
  int64_t wins = 0, losses = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double u = random.uniform();
    wins += u < won ? 1 : 0;
    losses += u >= won && u < won + lost ? 1 : 0;
  }
  return right_wrong(n - wins - losses, 0, wins, losses);
}

double claim_rate(int64_t n, double won, double lost, double margin) {
  base::RandomStream random(11, "test/non_inferiority");
  const int trials = 3000;
  int claims = 0;
  for (int trial = 0; trial < trials; ++trial) {
    claims += tested(simulate(n, won, lost, random), {margin}).verdict == Verdict::kClaimed ? 1 : 0;
  }
  return static_cast<double>(claims) / trials;
}

// At the boundary (true loss = margin) a claim must be wrong about 5% of the time: 3,000 trials
// have a standard error of 0.004.
TEST(NonInferiorityTest, TypeOneErrorIsFivePercent) {
  EXPECT_NEAR(claim_rate(1000, 0.04, 0.06, 0.02), 0.05, 0.016);
  EXPECT_NEAR(claim_rate(700, 0.005, 0.025, 0.02), 0.05, 0.016);
}

// Losses only: claimed up to 3 of 400, and P(X <= 3), X ~ Binomial(400, 0.02), is 0.0410.
TEST(NonInferiorityTest, TypeOneErrorHoldsWhereFlipsAreRare) {
  EXPECT_NEAR(claim_rate(400, 0.0, 0.02, 0.02), 0.0410, 0.016);
}

// n from the planning formula, no true loss: power 80%, SE of the simulation 0.0073.
TEST(NonInferiorityTest, PowerIsAsPlanned) {
  EXPECT_NEAR(claim_rate(1546, 0.05, 0.05, 0.02), 0.80, 0.03);
}

// What a plan says before any answer is known is what the test will say.
TEST(PlanningTest, AgreesWithTheTest) {
  EXPECT_EQ(items_needed(0.02, 0.05), 773);
  EXPECT_EQ(items_needed(0.02, 0.1), 1546);
  EXPECT_EQ(items_needed(0.02, 0.0), tested(right_wrong(133, 0, 0, 0), {0.02}).items_needed);
  EXPECT_EQ(items_needed(0.5, 0.0), 30);  // fewer have no normal mean
  EXPECT_NEAR(smallest_margin(872, 0.1), 0.0266, 1e-4);
  EXPECT_NEAR(provable_discordance(1546, 0.02), 0.1, 1e-4);
  EXPECT_LT(provable_discordance(132, 0.02), 0.0);
  EXPECT_GT(provable_discordance(133, 0.02), 0.0);
}
TEST(PlanningTest, ItemsNeededGiveThePower) {
  EXPECT_NEAR(claim_rate(items_needed(0.03, 0.08), 0.04, 0.04, 0.03), 0.80, 0.03);
}

TEST(PairedBootstrapTest, SharedNoiseCancels) {
  base::RandomStream random(5, "test/paired");
  std::vector<double> reference(300), candidate(300);
  for (size_t i = 0; i < 300; ++i) {
    reference[i] = 10.0 * random.normal();
    candidate[i] = reference[i] - 0.5 + 0.1 * random.normal();
  }
  const auto mean_of = [](const std::vector<double>& values) {
    return [&values](std::span<const int64_t> indices) {
      double sum = 0.0;
      for (const int64_t i : indices) sum += values[static_cast<size_t>(i)];
      return sum / static_cast<double>(indices.size());
    };
  };
  const auto interval =
      paired_bootstrap(300, mean_of(candidate), mean_of(reference), base::RandomStream(1, "p"));
  ASSERT_TRUE(interval.has_value());
  EXPECT_LT(interval->interval.low, -0.5 + 0.02);
  EXPECT_GT(interval->interval.high, -0.5 - 0.02);
  EXPECT_LT(interval->interval.high - interval->interval.low, 0.05);  // unpaired about 3.2
  EXPECT_DOUBLE_EQ(interval->p_value, 1.0 / 2001.0);                  // 80 standard errors from 0
  const auto same =
      paired_bootstrap(300, mean_of(reference), mean_of(reference), base::RandomStream(1, "p"));
  EXPECT_DOUBLE_EQ(same->p_value, 1.0);
}

// Without a difference a p value below 5% comes 5% of the time: 1,000 trials have a standard error
// of 0.007.
TEST(PairedBootstrapTest, TypeOneErrorIsFivePercent) {
  base::RandomStream random(23, "test/paired_p");
  int below = 0;
  for (int trial = 0; trial < 1000; ++trial) {
    std::vector<double> difference(60);
    for (double& value : difference) value = random.normal();
    const auto mean_of = [&](std::span<const int64_t> indices) {
      double sum = 0.0;
      for (const int64_t i : indices) sum += difference[static_cast<size_t>(i)];
      return sum / static_cast<double>(indices.size());
    };
    const auto result =
        paired_bootstrap(60, mean_of, [](std::span<const int64_t>) { return 0.0; },
                         base::RandomStream(static_cast<uint64_t>(trial), "p"), {.draws = 400});
    below += result->p_value < 0.05 ? 1 : 0;
  }
  EXPECT_NEAR(below / 1000.0, 0.05, 0.028);
}

TEST(DiscordanceTest, CountsFlipsBothWays) {
  const Pair pair = right_wrong(90, 0, 4, 6);
  EXPECT_DOUBLE_EQ(discordance(pair.candidate, pair.reference), 0.1);
  EXPECT_EQ(discordance({}, {}), 0.0);
}

// Holm 1979 by hand: sorted .005 .01 .03 .04 times 4, 3, 2, 1 = .02 .03 .06 .04, made monotone: .02
// .03 .06 .06.
TEST(HolmTest, AdjustsStepDown) {
  const std::vector<double> adjusted = holm(std::vector<double>{0.01, 0.04, 0.03, 0.005});
  ASSERT_EQ(adjusted.size(), 4u);
  EXPECT_DOUBLE_EQ(adjusted[0], 0.03);
  EXPECT_DOUBLE_EQ(adjusted[1], 0.06);
  EXPECT_DOUBLE_EQ(adjusted[2], 0.06);
  EXPECT_DOUBLE_EQ(adjusted[3], 0.02);
  EXPECT_EQ(holm(std::vector<double>{0.9, 0.8})[0], 1.0);
}

}  // namespace
}  // namespace frugal::evaluate
