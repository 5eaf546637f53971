#include "evaluate/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace frugal::evaluate {
namespace {

double sum_of_squares(std::span<const double> values, double center) {
  double sum = 0.0;
  for (const double value : values) sum += (value - center) * (value - center);
  return sum;
}

}  // namespace

double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

double normal_quantile(double probability) {
  if (!(probability > 0.0)) return -std::numeric_limits<double>::infinity();
  if (!(probability < 1.0)) return std::numeric_limits<double>::infinity();
  // The upper half mirrors the lower one, where erfc keeps its relative precision.
  if (probability > 0.5) return -normal_quantile(1.0 - probability);
  double low = -40.0;  // normal_cdf(-40) is below the smallest double
  double high = 0.0;
  for (int step = 0; step < 80; ++step) {
    const double middle = 0.5 * (low + high);
    (normal_cdf(middle) < probability ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

double log_binomial_coefficient(int64_t n, int64_t k) {
  const auto log_factorial = [](int64_t m) { return std::lgamma(static_cast<double>(m) + 1.0); };
  return log_factorial(n) - log_factorial(k) - log_factorial(n - k);
}

double binomial_cdf(int64_t k, int64_t n, double p) {
  if (k < 0) return 0.0;
  if (k >= n || p <= 0.0) return 1.0;
  if (p >= 1.0) return 0.0;
  const double log_p = std::log(p);
  const double log_q = std::log1p(-p);
  double sum = 0.0;
  for (int64_t i = 0; i <= k; ++i) {
    sum += std::exp(log_binomial_coefficient(n, i) + static_cast<double>(i) * log_p +
                    static_cast<double>(n - i) * log_q);
  }
  return std::min(1.0, sum);
}

Interval wilson_interval(int64_t successes, int64_t n, double confidence) {
  Interval result{0.0, 1.0, confidence, "wilson", n};
  if (n <= 0) return result;
  const double z = normal_quantile(0.5 + 0.5 * confidence);
  const double count = static_cast<double>(n);
  const double share = static_cast<double>(successes) / count;
  const double scale = 1.0 + z * z / count;
  const double center = (share + z * z / (2.0 * count)) / scale;
  const double half =
      z * std::sqrt(share * (1.0 - share) / count + z * z / (4.0 * count * count)) / scale;
  // At 0 and n the bound is exactly 0 or 1; rounding must not leave 1e-18 there.
  result.low = successes == 0 ? 0.0 : std::max(0.0, center - half);
  result.high = successes == n ? 1.0 : std::min(1.0, center + half);
  return result;
}

double mean(std::span<const double> values) {
  if (values.empty()) return kNaN;
  double sum = 0.0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double variance(std::span<const double> values) {
  if (values.empty()) return kNaN;
  return sum_of_squares(values, mean(values)) / static_cast<double>(values.size());
}

double standard_error(std::span<const double> values) {
  if (values.size() < 2) return kNaN;
  const double n = static_cast<double>(values.size());
  return std::sqrt(sum_of_squares(values, mean(values)) / (n * (n - 1.0)));
}

double quantile_of_sorted(std::span<const double> sorted, double q) {
  if (sorted.empty()) return kNaN;
  const double position = std::clamp(q, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(position);
  if (below + 1 >= sorted.size()) return sorted.back();
  const double share = position - static_cast<double>(below);
  return sorted[below] + share * (sorted[below + 1] - sorted[below]);
}

std::vector<double> sums_by_group(std::span<const double> values, std::span<const int64_t> groups) {
  std::vector<double> sums;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i == 0 || groups[i] != groups[i - 1]) sums.push_back(0.0);
    sums.back() += values[i];
  }
  return sums;
}

std::vector<double> bootstrap_values(int64_t items, const IndexStatistic& statistic,
                                     base::RandomStream random, const BootstrapOptions& options) {
  std::vector<double> values;
  if (items < 2) return values;
  std::vector<int64_t> indices(static_cast<size_t>(items));
  values.reserve(static_cast<size_t>(options.draws));
  for (int64_t draw = 0; draw < options.draws; ++draw) {
    for (int64_t& index : indices) {
      index = static_cast<int64_t>(random.below(static_cast<uint64_t>(items)));
    }
    if (const double value = statistic(indices); std::isfinite(value)) values.push_back(value);
  }
  std::sort(values.begin(), values.end());
  return values;
}

std::optional<Interval> bootstrap_interval(int64_t items, const IndexStatistic& statistic,
                                           base::RandomStream random,
                                           const BootstrapOptions& options) {
  const std::vector<double> values = bootstrap_values(items, statistic, random, options);
  if (values.empty()) return std::nullopt;
  const double tail = 0.5 * (1.0 - options.confidence);
  return Interval{quantile_of_sorted(values, tail), quantile_of_sorted(values, 1.0 - tail),
                  options.confidence, "bootstrap", items};
}

std::optional<Interval> bootstrap_mean_interval(std::span<const double> values,
                                                base::RandomStream random,
                                                const BootstrapOptions& options) {
  const auto statistic = [values](std::span<const int64_t> indices) {
    double sum = 0.0;
    for (const int64_t i : indices) sum += values[static_cast<size_t>(i)];
    return sum / static_cast<double>(indices.size());
  };
  return bootstrap_interval(static_cast<int64_t>(values.size()), statistic, random, options);
}

std::optional<Interval> bootstrap_ratio_interval(std::span<const double> numerators,
                                                 std::span<const double> denominators,
                                                 base::RandomStream random,
                                                 const BootstrapOptions& options) {
  const auto statistic = [numerators, denominators](std::span<const int64_t> indices) {
    double above = 0.0, below = 0.0;
    for (const int64_t i : indices) {
      above += numerators[static_cast<size_t>(i)];
      below += denominators[static_cast<size_t>(i)];
    }
    return above / below;
  };
  const size_t items = std::min(numerators.size(), denominators.size());
  return bootstrap_interval(static_cast<int64_t>(items), statistic, random, options);
}

}  // namespace frugal::evaluate
