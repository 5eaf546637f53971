#include "energy/paired_rounds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "base/random.h"

namespace frugal::energy {
namespace {

// --- by hand ---

TEST(PairedRoundsTest, TheChanceIsThatOfAllSigns) {
  // Of the 2^5 signs of five differences of one sign only two give a sum as far from zero.
  const std::vector<double> up = {0.1, 0.2, 0.3, 0.1, 0.2};
  EXPECT_DOUBLE_EQ(compare_rounds(up).p_value, 2.0 / 32);
  EXPECT_DOUBLE_EQ(compare_rounds(up).ratio, std::exp(0.18));
  EXPECT_FALSE(compare_rounds(up).interval.has_value());  // nothing can be refused at 5%
  // 3 - 1 = 2: of the 8 signs of {1, 1, 1} and -1 those with a sum of size 2 or more are 2 + 2 * 4.
  EXPECT_DOUBLE_EQ(compare_rounds(std::vector<double>{1, 1, 1, -1}).p_value, 10.0 / 16);
  EXPECT_DOUBLE_EQ(compare_rounds(std::vector<double>{0, 0, 0}).p_value, 1);
}

// The slow way: turn the signs of what is left of each round when an effect is taken off.
double p_of_effect(const std::vector<double>& values, double effect) {
  const size_t n = values.size();
  double seen = 0;
  for (const double value : values) seen += value - effect;
  int64_t as_far = 0;
  for (size_t signs = 0; signs < (size_t{1} << n); ++signs) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += ((signs >> i) & 1 ? -1 : 1) * (values[i] - effect);
    as_far += std::abs(sum) >= std::abs(seen) - 1e-12 ? 1 : 0;
  }
  return static_cast<double>(as_far) / static_cast<double>(size_t{1} << n);
}

TEST(PairedRoundsTest, TheIntervalHoldsTheEffectsThatTheTestDoesNotRefuse) {
  const std::vector<double> values = {0.03, -0.11, -0.06, -0.02, -0.19, -0.07, 0.01, -0.08, -0.04};
  for (const int64_t comparisons : {1, 5}) {
    const PairedRounds result = compare_rounds(values, comparisons);
    ASSERT_TRUE(result.interval.has_value());
    const double error = 0.05 / static_cast<double>(comparisons);
    const double low = std::log(result.interval->low), high = std::log(result.interval->high);
    EXPECT_GT(p_of_effect(values, low + 1e-9), error);
    EXPECT_LE(p_of_effect(values, low - 1e-9), error);
    EXPECT_GT(p_of_effect(values, high - 1e-9), error);
    EXPECT_LE(p_of_effect(values, high + 1e-9), error);
    EXPECT_DOUBLE_EQ(result.p_value, p_of_effect(values, 0));
    EXPECT_EQ(result.differs(), result.p_value <= error);
  }
}

TEST(PairedRoundsTest, ManyRoundsTakeADrawOfSignsAndComeToTheSame) {
  base::RandomStream random(7, "test/rounds");
  std::vector<double> values;
  for (int i = 0; i < 17; ++i) values.push_back(0.02 + 0.05 * random.normal());
  const PairedRounds drawn = compare_rounds(values);
  const double exact = p_of_effect(values, 0);
  // Three standard errors of a share of 20,000.
  EXPECT_NEAR(drawn.p_value, exact, 3 * std::sqrt(exact * (1 - exact) / 20000));
  EXPECT_EQ(compare_rounds(values).p_value, drawn.p_value);
}

TEST(PairedRoundsTest, HowManyRoundsAreNeeded) {
  EXPECT_EQ(rounds_needed(1), 6);  // 2 of 2^6 signs are 3%
  EXPECT_EQ(rounds_needed(2), 7);
  EXPECT_EQ(rounds_needed(10), 9);
  for (const int64_t comparisons : {1, 2, 3, 10}) {
    const auto n = static_cast<size_t>(rounds_needed(comparisons));
    EXPECT_TRUE(compare_rounds(std::vector<double>(n, 0.1), comparisons).interval.has_value());
    EXPECT_FALSE(compare_rounds(std::vector<double>(n - 1, 0.1), comparisons).interval.has_value());
  }
}

TEST(PairedRoundsTest, RoundsThatStandApart) {
  const std::vector<double> levels = {1.0, 1.1, 0.9, 1.05, 3.0, 0.95, -2.0};
  EXPECT_THAT(outlying_rounds(levels, 5),
              testing::ElementsAre(false, false, false, false, true, false, true));
  EXPECT_THAT(outlying_rounds(levels, 0), testing::Each(false));
  EXPECT_THAT(outlying_rounds(std::vector<double>{1, 1, 1, 1, 9}, 5), testing::Each(false));
  EXPECT_TRUE(outlying_rounds({}, 5).empty());
}

TEST(PairedRoundsTest, ABlockBootstrapHoldsTheMean) {
  EXPECT_FALSE(block_bootstrap(std::vector<double>{1, 2, 3}, 0.95).has_value());
  const auto alike = block_bootstrap(std::vector<double>(5, 7.0), 0.95);
  EXPECT_EQ(alike->low, 7.0);
  EXPECT_EQ(alike->high, 7.0);
  base::RandomStream random(3, "test/blocks");
  std::vector<double> values;
  for (int i = 0; i < 200; ++i) values.push_back(5 + random.normal());
  const auto many = block_bootstrap(values, 0.95);
  // As wide as the normal approximation of so many: 2 * 1.96 / sqrt(200), by a fifth.
  EXPECT_NEAR((many->high - many->low) / (2 * 1.96 / std::sqrt(200.0)), 1, 0.2);
  EXPECT_LT(many->low, 5);
  EXPECT_GT(many->high, 5);
  const auto sure = block_bootstrap(values, 0.5);
  EXPECT_LT(sure->high - sure->low, many->high - many->low);
  EXPECT_DOUBLE_EQ(bootstrap_rounds(values, 0.95)->low, std::exp(many->low));
}

PairedRounds made(double ratio, double low, double high) {
  PairedRounds result;
  result.rounds = 10;
  result.ratio = ratio;
  result.interval = Range{low, high};
  return result;
}

TEST(PairedRoundsTest, VerdictsInWords) {
  EXPECT_EQ(verdict(CostKind::kEnergy, made(0.77, 0.74, 0.80)), "saves 23% [20, 26]");
  EXPECT_EQ(verdict(CostKind::kEnergy, made(1.12, 1.08, 1.16)), "costs 12% more [8, 16]");
  EXPECT_EQ(verdict(CostKind::kEnergy, made(0.95, 0.935, 0.981)), "saves 5.0% [1.9, 6.5]");
  EXPECT_EQ(verdict(CostKind::kEnergy, made(0.98, 0.946, 1.031)),
            "no significant saving: between 5.4% less and 3.1% more");
  EXPECT_EQ(verdict(CostKind::kTime, made(0.5, 0.4, 0.6)), "takes 50% less time [40, 60]");
  EXPECT_EQ(verdict(CostKind::kTime, made(1.5, 1.4, 1.6)), "takes 50% more time [40, 60]");
  EXPECT_EQ(verdict(CostKind::kSpeed, made(1.5, 1.4, 1.6)), "50% faster [40, 60]");
  EXPECT_EQ(verdict(CostKind::kSpeed, made(0.5, 0.4, 0.6)), "50% slower [40, 60]");
  EXPECT_EQ(verdict(CostKind::kSpeed, made(1, 0.9, 1.1)),
            "no significant difference in speed: between 10% less and 10% more");
  EXPECT_EQ(verdict(CostKind::kEnergy, compare_rounds(std::vector<double>{0.1, 0.2}), 3),
            "too few rounds to tell: 2 of at least 7");
}

// --- error rates, of made machines ---

// The logarithms of what `count` windows in a row cost on a machine that is not at rest.
using Machine = std::function<std::vector<double>(base::RandomStream&, int64_t count)>;

constexpr double kNoise = 0.03;  // of a window

double student(base::RandomStream& random, int degrees) {
  double squares = 0;
  const double normal = random.normal();
  for (int i = 0; i < degrees; ++i) squares += std::pow(random.normal(), 2);
  return normal / std::sqrt(squares / degrees);
}

std::vector<double> steady(base::RandomStream& random, int64_t count) {
  std::vector<double> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(kNoise * random.normal());
  return out;
}

std::vector<double> drifting(base::RandomStream& random, int64_t count) {
  std::vector<double> out = steady(random, count);
  for (size_t i = 0; i < out.size(); ++i) out[i] += 0.01 * static_cast<double>(i);
  return out;
}

std::vector<double> remembering(base::RandomStream& random, int64_t count) {
  std::vector<double> out = steady(random, count);
  for (size_t i = 1; i < out.size(); ++i) out[i] += 0.8 * out[i - 1];
  return out;
}

std::vector<double> heavy_tailed(base::RandomStream& random, int64_t count) {
  std::vector<double> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(kNoise * student(random, 2));
  return out;
}

// Another job runs now and then.
std::vector<double> disturbed(base::RandomStream& random, int64_t count) {
  std::vector<double> out = steady(random, count);
  for (double& value : out) {
    if (random.bernoulli(0.1)) value += -0.5 * std::log(1 - random.uniform());
  }
  return out;
}

std::vector<double> everything(base::RandomStream& random, int64_t count) {
  std::vector<double> out = disturbed(random, count);
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] += 0.01 * static_cast<double>(i) + kNoise * student(random, 3);
    if (i > 0) out[i] += 0.6 * out[i - 1];
  }
  return out;
}

// Rounds as the measure pass makes them, without those that stand apart.
std::vector<double> rounds_of(const Machine& machine, int64_t rounds, double effect,
                              base::RandomStream& random) {
  const std::vector<double> windows = machine(random, 2 * rounds);
  std::vector<double> ratios, levels, kept;
  for (size_t i = 0; i < windows.size(); i += 2) {
    const double sign = random.bernoulli(0.5) ? 1 : -1;
    ratios.push_back(sign * (windows[i] - windows[i + 1]) + effect);
    levels.push_back(windows[i] + windows[i + 1] + effect);
  }
  const std::vector<bool> apart = outlying_rounds(levels, 5);
  for (size_t i = 0; i < ratios.size(); ++i) {
    if (!apart[i]) kept.push_back(ratios[i]);
  }
  return kept;
}

struct Rates {
  double found = 0;   // a difference
  double missed = 0;  // the interval does not hold the effect
};

constexpr int kTests = 1000;

Rates rates_of(const Machine& machine, int64_t rounds, double effect) {
  base::RandomStream random(11, "test/error rates");
  Rates rates;
  for (int i = 0; i < kTests; ++i) {
    const PairedRounds result = compare_rounds(rounds_of(machine, rounds, effect, random));
    if (!result.interval) continue;
    rates.found += result.differs() ? 1 : 0;
    rates.missed +=
        std::log(result.interval->low) > effect || std::log(result.interval->high) < effect ? 1 : 0;
  }
  rates.found /= kTests;
  rates.missed /= kTests;
  return rates;
}

// Five percent and three standard errors.
const double kMostFound = 0.05 + 3 * std::sqrt(0.05 * 0.95 / kTests);

const std::vector<Machine>& machines() {
  static const std::vector<Machine> kMachines = {steady,       drifting,  remembering,
                                                 heavy_tailed, disturbed, everything};
  return kMachines;
}

TEST(PairedRoundsTest, AModelAgainstItselfIsFoundDifferentInAtMostFivePercent) {
  for (const Machine& machine : machines()) {
    for (const int64_t rounds : {7, 10}) {
      const Rates rates = rates_of(machine, rounds, 0);
      EXPECT_LE(rates.found, kMostFound);
      EXPECT_LE(rates.missed, kMostFound);
    }
  }
}

// Why the bootstrap decides nothing: of ten rounds it claims more than it may.
TEST(PairedRoundsTest, ABlockBootstrapOfTenRoundsClaimsTooMuch) {
  constexpr int kFewerTests = 500;
  for (const Machine& machine : {machines().front(), machines().back()}) {
    base::RandomStream random(12, "test/bootstrap");
    double found = 0;
    for (int i = 0; i < kFewerTests; ++i) {
      const auto interval = bootstrap_rounds(rounds_of(machine, 10, 0, random), 0.95);
      found += interval->low > 1 || interval->high < 1 ? 1 : 0;
    }
    EXPECT_GT(found / kFewerTests, 0.05);
  }
}

// How often ten rounds of windows that vary by 3% find a true saving of 5%: nine times in ten where
// the machine is steady, drifts or remembers, more than every second time under tails as heavy as a
// t distribution's of two degrees, seven times in ten where other jobs run now and then, every
// third time with everything at once.
TEST(PairedRoundsTest, ATrueSavingOfFivePercentIsFound) {
  const std::vector<double> expected = {0.9, 0.9, 0.9, 0.5, 0.7, 0.33};
  for (size_t i = 0; i < expected.size(); ++i) {
    const Rates rates = rates_of(machines()[i], 10, std::log(0.95));
    EXPECT_GE(rates.found, expected[i] - 3 * std::sqrt(expected[i] * (1 - expected[i]) / kTests));
    EXPECT_LE(rates.missed, kMostFound);
  }
}

}  // namespace
}  // namespace frugal::energy
