#include "energy/paired_rounds.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "base/random.h"
#include "base/status.h"

namespace frugal::energy {
namespace {

constexpr double kError = 0.05;  // of all comparisons together
constexpr size_t kMostForAllSigns = 16;
constexpr int64_t kDrawnSplits = 20000;
constexpr int64_t kBootstrapDraws = 2000;
constexpr int64_t kFewestForBootstrap = 4;

// Turning the signs of a set of rounds parts them in two. The mean of all, less an effect, is no
// larger in size than it would be with those signs turned exactly where the effect lies between the
// means of the two parts.
struct Splits {
  std::vector<double> lows, highs;  // ascending
  double total = 1;                 // the split that turns nothing, which refuses no effect

  void add(double a, double b) {
    lows.push_back(std::min(a, b));
    highs.push_back(std::max(a, b));
    ++total;
  }
  // The share of splits that hold `effect`: its p value.
  double share(double effect) const {
    const auto begun = std::upper_bound(lows.begin(), lows.end(), effect) - lows.begin();
    const auto ended = std::lower_bound(highs.begin(), highs.end(), effect) - highs.begin();
    return static_cast<double>(1 + begun - ended) / total;
  }
};

Splits all_splits(std::span<const double> values) {
  const size_t n = values.size();
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  std::vector<double> sums(size_t{1} << (n - 1), 0.0);  // of the rounds whose bit is set
  Splits splits;
  for (size_t set = 1; set < sums.size(); ++set) {
    sums[set] = sums[set & (set - 1)] + values[static_cast<size_t>(std::countr_zero(set))];
    const auto count = static_cast<double>(std::popcount(set));
    splits.add(sums[set] / count, (sum - sums[set]) / (static_cast<double>(n) - count));
  }
  return splits;
}

Splits drawn_splits(std::span<const double> values) {
  base::RandomStream random(1, "energy/paired rounds/signs");
  Splits splits;
  for (int64_t draw = 0; draw < kDrawnSplits; ++draw) {
    double sums[2] = {0, 0}, counts[2] = {0, 0};
    for (const double value : values) {
      const size_t side = random.next() >> 63;
      sums[side] += value;
      ++counts[side];
    }
    if (counts[0] == 0 || counts[1] == 0) continue;  // of 17 rounds and more: next to never
    splits.add(sums[0] / counts[0], sums[1] / counts[1]);
  }
  return splits;
}

Splits splits_of(std::span<const double> values) {
  Splits splits = values.size() <= kMostForAllSigns ? all_splits(values) : drawn_splits(values);
  // What is equal in exact arithmetic must not be parted by rounding.
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  for (double& low : splits.lows) low -= 1e-12 * largest;
  for (double& high : splits.highs) high += 1e-12 * largest;
  std::sort(splits.lows.begin(), splits.lows.end());
  std::sort(splits.highs.begin(), splits.highs.end());
  return splits;
}

// From the first to the last effect whose p value is above `error`; it can rise only where a split
// begins, and fall only where one ends.
std::optional<Range> held(const Splits& splits, double error) {
  if (1 > error * splits.total) return std::nullopt;
  const auto above = [&](double effect) { return splits.share(effect) > error; };
  const auto low = std::find_if(splits.lows.begin(), splits.lows.end(), above);
  const auto high = std::find_if(splits.highs.rbegin(), splits.highs.rend(), above);
  if (low == splits.lows.end() || high == splits.highs.rend()) return std::nullopt;
  return Range{*low, *high};
}

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double standard_error_of(std::span<const double> values) {
  const double mean = mean_of(values), n = static_cast<double>(values.size());
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / (n * (n - 1)));
}

std::optional<Range> exponential(const std::optional<Range>& logs) {
  if (!logs) return std::nullopt;
  return Range{std::exp(logs->low), std::exp(logs->high)};
}

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

struct Words {
  const char* unchanged;
  const char* less;  // "saves %s": of a ratio below 1
  const char* more;
};

Words verdict_words(CostKind kind) {
  switch (kind) {
    case CostKind::kEnergy:
      return {"no significant saving", "saves %s", "costs %s more"};
    case CostKind::kTime:
      return {"no significant difference in time", "takes %s less time", "takes %s more time"};
    case CostKind::kSpeed:
      break;
  }
  return {"no significant difference in speed", "%s slower", "%s faster"};
}

std::string percent(double share, int places, bool sign) {
  char text[32];
  std::snprintf(text, sizeof text, sign ? "%.*f%%" : "%.*f", places, 100 * share);
  return text;
}

// "3.1% more", "5.4% less".
std::string change(double ratio) {
  const double share = std::abs(ratio - 1);
  return percent(share, share < 0.0995 ? 1 : 0, true) + (ratio > 1 ? " more" : " less");
}

}  // namespace

std::optional<Range> block_bootstrap(std::span<const double> values, double confidence) {
  const size_t n = values.size();
  if (n < kFewestForBootstrap) return std::nullopt;
  const double mean = mean_of(values), error = standard_error_of(values);
  const auto block = static_cast<size_t>(std::lround(std::cbrt(static_cast<double>(n))));
  base::RandomStream random(1, "energy/paired rounds/blocks");
  std::vector<double> sample(n), ts;
  for (int64_t draw = 0; draw < kBootstrapDraws; ++draw) {
    size_t at = 0;
    for (size_t i = 0; i < n; ++i) {
      if (i % block == 0) at = random.below(n);
      sample[i] = values[(at + i % block) % n];
    }
    const double own_error = standard_error_of(sample);
    if (own_error > 0) ts.push_back((mean_of(sample) - mean) / own_error);
  }
  if (ts.empty()) return Range{mean, mean};  // all rounds alike
  std::sort(ts.begin(), ts.end());
  const auto quantile = [&](double q) {
    return ts[static_cast<size_t>(std::lround(q * static_cast<double>(ts.size() - 1)))];
  };
  return Range{mean - quantile((1 + confidence) / 2) * error,
               mean - quantile((1 - confidence) / 2) * error};
}

std::optional<Range> bootstrap_rounds(std::span<const double> log_ratios, double confidence) {
  return exponential(block_bootstrap(log_ratios, confidence));
}

PairedRounds compare_rounds(std::span<const double> log_ratios, int64_t comparisons) {
  const double error = kError / static_cast<double>(std::max<int64_t>(comparisons, 1));
  PairedRounds result;
  result.rounds = static_cast<int64_t>(log_ratios.size());
  result.confidence = 1 - error;
  if (log_ratios.empty()) return result;
  result.ratio = std::exp(mean_of(log_ratios));
  if (log_ratios.size() < 2) return result;
  const Splits splits = splits_of(log_ratios);
  result.p_value = splits.share(0);
  result.interval = exponential(held(splits, error));
  return result;
}

int64_t rounds_needed(int64_t comparisons) {
  const double splits = static_cast<double>(std::max<int64_t>(comparisons, 1)) / kError;
  return 1 + static_cast<int64_t>(std::ceil(std::log2(splits) - 1e-12));
}

std::vector<bool> outlying_rounds(std::span<const double> levels, double deviations) {
  std::vector<bool> out(levels.size(), false);
  if (levels.empty() || !(deviations > 0)) return out;
  const double median = median_of({levels.begin(), levels.end()});
  std::vector<double> distances;
  for (const double level : levels) distances.push_back(std::abs(level - median));
  const double limit = deviations * 1.4826 * median_of(distances);
  for (size_t i = 0; i < levels.size(); ++i) out[i] = limit > 0 && distances[i] > limit;
  return out;
}

std::string verdict(CostKind kind, const PairedRounds& result, int64_t comparisons) {
  if (!result.interval) {
    return base::str_cat("too few rounds to tell: ", result.rounds, " of at least ",
                         rounds_needed(comparisons));
  }
  const Words words = verdict_words(kind);
  const Range& interval = *result.interval;
  if (!result.differs()) {
    return base::str_cat(words.unchanged, ": between ", change(interval.low), " and ",
                         change(interval.high));
  }
  const double share = std::abs(result.ratio - 1);
  double near = std::abs(interval.low - 1), far = std::abs(interval.high - 1);
  if (near > far) std::swap(near, far);
  const int places = share < 0.0995 ? 1 : 0;
  char text[64];
  std::snprintf(text, sizeof text, result.ratio < 1 ? words.less : words.more,
                percent(share, places, true).c_str());
  return base::str_cat(text, " [", percent(near, places, false), ", ", percent(far, places, false),
                       "]");
}

}  // namespace frugal::energy
