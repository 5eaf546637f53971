// Intervals for measured quality: normal and binomial probabilities, Wilson, percentile bootstrap.
// Free of LibTorch.
//
// What is resampled are items that are independent of each other: documents, windows, examples;
// never tokens of one text (they depend on each other, and an interval over them would be far too
// narrow).
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"

namespace frugal::evaluate {

// What is not known: a mean of nothing, an interval of one item.
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Interval {
  double low = 0.0;
  double high = 0.0;
  double confidence = 0.95;
  std::string method;  // "wilson", "bootstrap"
  int64_t n = 0;       // items it rests on
};

double normal_cdf(double z);
// z with normal_cdf(z) = probability; probability in (0, 1), +-infinity at its ends.
double normal_quantile(double probability);

// ln C(n, k), 0 <= k <= n.
double log_binomial_coefficient(int64_t n, int64_t k);
// P(X <= k) for X ~ Binomial(n, p), 0 <= p <= 1, summed term by term in log space.
double binomial_cdf(int64_t k, int64_t n, double p);

// Share of successes: Wilson's score interval (E. B. Wilson, JASA 22, 1927), which keeps its
// coverage near 0 and 1. n = 0 gives [0, 1].
Interval wilson_interval(int64_t successes, int64_t n, double confidence = 0.95);

double mean(std::span<const double> values);  // NaN when empty
// Population variance sum (x - mean)^2 / n; NaN when empty.
double variance(std::span<const double> values);
// Standard error of the mean, sqrt(sum (x - mean)^2 / (n (n - 1))); NaN below two values.
double standard_error(std::span<const double> values);
// The q-quantile (0..1) of ascending values, linear between order statistics (Hyndman & Fan's type
// 7); NaN when empty.
double quantile_of_sorted(std::span<const double> sorted, double q);

// Sums of the values of each group; groups ascend, so that those of one stand together.
std::vector<double> sums_by_group(std::span<const double> values, std::span<const int64_t> groups);

struct BootstrapOptions {
  int64_t draws = 2000;
  double confidence = 0.95;
};

// A statistic of the items named by `indices` (repetitions mean an item drawn twice).
using IndexStatistic = std::function<double(std::span<const int64_t> indices)>;

// The statistic of `draws` resamples of n items with replacement, ascending. Draws whose statistic
// is not finite are left out; empty below two items.
std::vector<double> bootstrap_values(int64_t items, const IndexStatistic& statistic,
                                     base::RandomStream random,
                                     const BootstrapOptions& options = {});

// Percentile bootstrap (Efron 1979) of bootstrap_values. Absent where there are none: unknown, not
// zero.
std::optional<Interval> bootstrap_interval(int64_t items, const IndexStatistic& statistic,
                                           base::RandomStream random,
                                           const BootstrapOptions& options = {});
// Of the mean of `values`.
std::optional<Interval> bootstrap_mean_interval(std::span<const double> values,
                                                base::RandomStream random,
                                                const BootstrapOptions& options = {});
// Of sum(numerators) / sum(denominators), both resampled together: a mean over tokens with
// documents as the units.
std::optional<Interval> bootstrap_ratio_interval(std::span<const double> numerators,
                                                 std::span<const double> denominators,
                                                 base::RandomStream random,
                                                 const BootstrapOptions& options = {});

}  // namespace frugal::evaluate
