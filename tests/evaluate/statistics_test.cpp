#include "evaluate/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace frugal::evaluate {
namespace {

// References: Python 3.11 statistics.NormalDist().inv_cdf.
TEST(NormalTest, QuantileMatchesPython) {
  EXPECT_NEAR(normal_quantile(0.975), 1.9599639845400536, 1e-12);
  EXPECT_NEAR(normal_quantile(0.95), 1.6448536269514715, 1e-12);
  EXPECT_NEAR(normal_quantile(0.8), 0.8416212335729144, 1e-12);
  EXPECT_NEAR(normal_quantile(1e-10), -6.361340902404056, 1e-11);
  EXPECT_NEAR(normal_quantile(0.5), 0.0, 1e-15);
  EXPECT_EQ(normal_quantile(0.0), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(normal_quantile(1.0), std::numeric_limits<double>::infinity());
}

TEST(GroupTest, SumsWhatStandsTogether) {
  const std::vector<double> values = {1, 2, 3, 4};
  EXPECT_EQ(sums_by_group(values, std::vector<int64_t>{0, 0, 2, 2}), (std::vector<double>{3, 7}));
  EXPECT_EQ(sums_by_group(values, std::vector<int64_t>{0, 1, 2, 3}), values);
  EXPECT_TRUE(sums_by_group({}, {}).empty());
}

TEST(NormalTest, CdfInvertsQuantile) {
  for (double p = 0.01; p < 1.0; p += 0.01) EXPECT_NEAR(normal_cdf(normal_quantile(p)), p, 1e-13);
}

TEST(BinomialTest, CdfMatchesExactFractions) {
  // Sum of math.comb(20, i) 0.3^i 0.7^(20-i), i <= 4, in Python fractions.
  EXPECT_NEAR(binomial_cdf(4, 20, 0.3), 0.23750777887760163, 1e-12);
  EXPECT_EQ(binomial_cdf(-1, 20, 0.3), 0.0);
  EXPECT_EQ(binomial_cdf(20, 20, 0.3), 1.0);
  EXPECT_EQ(binomial_cdf(3, 20, 0.0), 1.0);
  EXPECT_EQ(binomial_cdf(3, 20, 1.0), 0.0);
  EXPECT_NEAR(std::exp(log_binomial_coefficient(30, 7)), 2035800.0, 1e-5);
}

// References: roots of (p - share)^2 = z^2 p (1 - p) / n by bisection in Python, not the closed
// form.
TEST(WilsonTest, MatchesTheRootsOfTheScoreEquation) {
  struct Case {
    int64_t k, n;
    double low, high;
  };
  for (const Case& c : {Case{81, 263, 0.2552885198782743, 0.3662095769828001},
                        Case{0, 20, 0.0, 0.1611251580528193}, Case{20, 20, 0.8388748419471808, 1.0},
                        Case{1, 29, 0.006113214292762662, 0.17175521879320282},
                        Case{500, 1000, 0.4690696003681042, 0.5309303996318957}}) {
    const Interval interval = wilson_interval(c.k, c.n);
    EXPECT_NEAR(interval.low, c.low, 1e-12) << c.k << "/" << c.n;
    EXPECT_NEAR(interval.high, c.high, 1e-12) << c.k << "/" << c.n;
    EXPECT_EQ(interval.n, c.n);
  }
  EXPECT_EQ(wilson_interval(0, 0).low, 0.0);
  EXPECT_EQ(wilson_interval(0, 0).high, 1.0);
}

// Exact coverage by summing binomial probabilities. Python gives mean 0.9519 and minimum 0.9315 for
// this grid.
TEST(WilsonTest, CoversTheTruthAsOftenAsItSays) {
  const int64_t n = 50;
  double sum = 0.0, smallest = 1.0;
  int cases = 0;
  for (int i = 5; i <= 95; ++i, ++cases) {
    const double p = i / 100.0;
    double covered = 0.0;
    for (int64_t k = 0; k <= n; ++k) {
      const Interval interval = wilson_interval(k, n);
      if (interval.low > p || p > interval.high) continue;
      covered += binomial_cdf(k, n, p) - binomial_cdf(k - 1, n, p);
    }
    sum += covered;
    smallest = std::min(smallest, covered);
  }
  EXPECT_NEAR(sum / cases, 0.95, 0.005);
  EXPECT_GT(smallest, 0.92);
}

TEST(MomentsTest, MatchHandComputedValues) {
  const std::vector<double> values = {2, 4, 4, 4, 5, 5, 7, 9};  // mean 5, squares sum to 32
  EXPECT_DOUBLE_EQ(mean(values), 5.0);
  EXPECT_DOUBLE_EQ(variance(values), 4.0);
  EXPECT_DOUBLE_EQ(standard_error(values), std::sqrt(32.0 / 56.0));
  EXPECT_TRUE(std::isnan(mean({})));
  EXPECT_TRUE(std::isnan(standard_error(std::vector<double>{1.0})));
}

TEST(QuantileTest, IsLinearBetweenOrderStatistics) {
  const std::vector<double> sorted = {1, 2, 3, 4};
  EXPECT_DOUBLE_EQ(quantile_of_sorted(sorted, 0.0), 1.0);
  EXPECT_DOUBLE_EQ(quantile_of_sorted(sorted, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(quantile_of_sorted(sorted, 0.9), 3.7);  // numpy.quantile([1,2,3,4], .9)
  EXPECT_DOUBLE_EQ(quantile_of_sorted(sorted, 1.0), 4.0);
  EXPECT_TRUE(std::isnan(quantile_of_sorted({}, 0.5)));
}

TEST(BootstrapTest, MeanIntervalAgreesWithTheNormalOne) {
  base::RandomStream random(7, "test/bootstrap");
  std::vector<double> values(500);
  for (double& value : values) value = 3.0 + 2.0 * random.normal();
  const auto interval = bootstrap_mean_interval(values, base::RandomStream(1, "b"), {4000, 0.95});
  ASSERT_TRUE(interval.has_value());
  const double half = 1.959964 * standard_error(values);
  // A percentile of 4,000 draws has a standard error near sqrt(.025 * .975 / 4000) / phi(1.96) =
  // 0.042 standard errors of the mean; four of them, plus the 1/(2n) difference between the two
  // variances, stay below a tenth of the half width.
  EXPECT_NEAR(interval->low, mean(values) - half, 0.1 * half);
  EXPECT_NEAR(interval->high, mean(values) + half, 0.1 * half);
  EXPECT_EQ(interval->method, "bootstrap");
  EXPECT_EQ(interval->n, 500);
}

TEST(BootstrapTest, SameSeedSameInterval) {
  const std::vector<double> values = {1, 5, 2, 8, 3};
  const auto first = bootstrap_mean_interval(values, base::RandomStream(3, "b"));
  const auto second = bootstrap_mean_interval(values, base::RandomStream(3, "b"));
  const auto other = bootstrap_mean_interval(values, base::RandomStream(4, "b"), {50, 0.9});
  EXPECT_EQ(first->low, second->low);
  EXPECT_EQ(first->high, second->high);
  EXPECT_NE(first->high, other->high);
}

TEST(BootstrapTest, RatioResamplesBothSidesTogether) {
  // Every document has the ratio 3, so every resample has.
  const std::vector<double> numerators = {3, 30, 12}, denominators = {1, 10, 4};
  const auto interval =
      bootstrap_ratio_interval(numerators, denominators, base::RandomStream(1, "r"));
  ASSERT_TRUE(interval.has_value());
  EXPECT_DOUBLE_EQ(interval->low, 3.0);
  EXPECT_DOUBLE_EQ(interval->high, 3.0);
}

TEST(BootstrapTest, UnknownIsAbsentNotZero) {
  EXPECT_FALSE(bootstrap_mean_interval(std::vector<double>{1.0}, base::RandomStream(1, "x")));
  const auto nan = [](std::span<const int64_t>) { return std::nan(""); };
  EXPECT_FALSE(bootstrap_interval(5, nan, base::RandomStream(1, "x")));
}

}  // namespace
}  // namespace frugal::evaluate
