#include "evaluate/paired.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_format.h"

namespace frugal::evaluate {
namespace {

constexpr double kOneSided = 0.95;
constexpr double kPower = 0.80;
constexpr int64_t kSmallestSample = 30;  // below it a mean of right/wrong scores is far from normal

absl::Status check_scores(std::span<const double> candidate, std::span<const double> reference) {
  if (candidate.size() != reference.size()) {
    return base::invalid_argument("paired test: ", candidate.size(), " candidate items, but ",
                                  reference.size(),
                                  " of the reference; both must be the same items");
  }
  if (candidate.empty()) return base::invalid_argument("paired test: no items");
  const auto finite = [](double value) { return std::isfinite(value); };
  if (!std::all_of(candidate.begin(), candidate.end(), finite) ||
      !std::all_of(reference.begin(), reference.end(), finite)) {
    return base::invalid_argument("paired test: a score is not finite");
  }
  return absl::OkStatus();
}

bool is_binary(std::span<const double> scores) {
  return std::all_of(scores.begin(), scores.end(), [](double s) { return s == 0.0 || s == 1.0; });
}

// The scores whose mean must exceed `-shift`: plain differences, or for a relative margin s - (1 -
// m) r with shift 0.
std::vector<double> tested_differences(std::span<const double> candidate,
                                       std::span<const double> reference, const Margin& margin) {
  const double kept = margin.kind == MarginKind::kRelative ? 1.0 - margin.value : 1.0;
  std::vector<double> result(candidate.size());
  for (size_t i = 0; i < result.size(); ++i) result[i] = candidate[i] - kept * reference[i];
  return result;
}

Verdict judge(const NonInferiority& result, double z) {
  if (result.n < kSmallestSample) return Verdict::kTooFewItems;
  if (result.one_sided_low > -result.margin) return Verdict::kClaimed;
  const bool shown_worse = result.difference + z * result.standard_error < -result.margin;
  if (!shown_worse && result.n < result.items_needed) return Verdict::kTooFewItems;
  return Verdict::kNotClaimed;
}

std::string explain(const NonInferiority& r) {
  const std::string numbers = absl::StrFormat(
      "difference %+.4f, one-sided 95%% bound %+.4f, margin %.4f, n %d, %.1f%% of the items differ",
      r.difference, r.one_sided_low, r.margin, r.n, 100.0 * r.discordance);
  switch (r.verdict) {
    case Verdict::kClaimed:
      return "no worse than the margin: " + numbers;
    case Verdict::kNotClaimed:
      return "not shown to be within the margin: " + numbers;
    case Verdict::kTooFewItems:
      return absl::StrFormat(
          "too few items: %s; about %d items are needed, these %d can prove %.4f", numbers,
          r.items_needed, r.n, r.smallest_margin);
  }
  return numbers;
}

double z_of_test() { return normal_quantile(kOneSided); }
double z_of_test_and_power() { return z_of_test() + normal_quantile(kPower); }

// Sizes for planning, from the variance of the differences: n = (z + z_power)^2 var / m^2 and its
// inverse. Right/wrong scores also need the items that the floor of the variance asks for (see
// paired.h).
double margin_of_items(double items, double variance, bool binary) {
  const double z = z_of_test();
  const double margin = z_of_test_and_power() * std::sqrt(variance / items);
  return binary ? std::max(margin, z * z / (items + z * z)) : margin;
}

int64_t items_of_margin(double margin, double variance, bool binary) {
  const double z = z_of_test(), both = z_of_test_and_power();
  double needed = both * both * variance / (margin * margin);
  if (binary) needed = std::max(needed, z * z * std::max(0.0, 1.0 - margin) / margin);
  return std::max(kSmallestSample, static_cast<int64_t>(std::ceil(needed)));
}

}  // namespace

McNemar mcnemar_exact(int64_t candidate_only, int64_t reference_only) {
  const int64_t n = candidate_only + reference_only;
  const int64_t fewer = std::min(candidate_only, reference_only);
  return {candidate_only, reference_only, std::min(1.0, 2.0 * binomial_cdf(fewer, n, 0.5)),
          "exact"};
}

McNemar mcnemar_normal(int64_t candidate_only, int64_t reference_only) {
  McNemar result{candidate_only, reference_only, 1.0, "normal"};
  const int64_t n = candidate_only + reference_only;
  if (n == 0) return result;
  const double z = static_cast<double>(std::abs(candidate_only - reference_only)) /
                   std::sqrt(static_cast<double>(n));
  result.p_value = 2.0 * normal_cdf(-z);
  return result;
}

McNemar mcnemar(int64_t candidate_only, int64_t reference_only) {
  return candidate_only + reference_only <= 1000 ? mcnemar_exact(candidate_only, reference_only)
                                                 : mcnemar_normal(candidate_only, reference_only);
}

Interval paired_share_interval(int64_t candidate_only, int64_t reference_only, int64_t n,
                               double confidence) {
  const double won = static_cast<double>(candidate_only) + 0.5;
  const double lost = static_cast<double>(reference_only) + 0.5;
  const double count = static_cast<double>(n) + 2.0;
  const double difference = (won - lost) / count;
  const double error = std::sqrt(won + lost - (won - lost) * (won - lost) / count) / count;
  const double half = normal_quantile(0.5 + 0.5 * confidence) * error;
  return {std::max(-1.0, difference - half), std::min(1.0, difference + half), confidence,
          "paired wald + 2", n};
}

std::optional<PairedDifference> paired_bootstrap(int64_t items, const IndexStatistic& candidate,
                                                 const IndexStatistic& reference,
                                                 base::RandomStream random,
                                                 const BootstrapOptions& options) {
  const auto difference = [&](std::span<const int64_t> indices) {
    return candidate(indices) - reference(indices);
  };
  const std::vector<double> values = bootstrap_values(items, difference, random, options);
  if (values.empty()) return std::nullopt;
  const double tail = 0.5 * (1.0 - options.confidence);
  PairedDifference result;
  result.interval = {quantile_of_sorted(values, tail), quantile_of_sorted(values, 1.0 - tail),
                     options.confidence, "bootstrap", items};
  std::vector<int64_t> all(static_cast<size_t>(items));
  std::iota(all.begin(), all.end(), int64_t{0});
  const double seen = std::abs(difference(all)), center = mean(values);
  const auto as_large = std::count_if(
      values.begin(), values.end(), [&](double value) { return std::abs(value - center) >= seen; });
  result.p_value = static_cast<double>(as_large + 1) / static_cast<double>(values.size() + 1);
  return result;
}

absl::StatusOr<MarginKind> parse_margin_kind(std::string_view text) {
  if (text == "absolute") return MarginKind::kAbsolute;
  if (text == "relative") return MarginKind::kRelative;
  return base::invalid_argument("margin kind '", text, "': expected absolute or relative");
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kClaimed:
      return "claimed";
    case Verdict::kNotClaimed:
      return "not claimed";
    case Verdict::kTooFewItems:
      return "too few items";
  }
  return "";
}

absl::StatusOr<NonInferiority> non_inferiority(std::span<const double> candidate,
                                               std::span<const double> reference,
                                               const Margin& margin) {
  FRUGAL_RETURN_IF_ERROR(check_scores(candidate, reference));
  if (!(margin.value > 0.0)) {
    return base::invalid_argument("paired test: the margin is ", margin.value, ", must be above 0");
  }
  const bool relative = margin.kind == MarginKind::kRelative;
  const double reference_mean = mean(reference);
  if (relative && !(reference_mean > 0.0)) {
    return base::invalid_argument(
        "paired test: a relative margin needs a positive reference score, ", "found ",
        reference_mean, "; use an absolute margin");
  }
  const double z = z_of_test();
  NonInferiority result;
  result.n = static_cast<int64_t>(candidate.size());
  result.confidence = kOneSided;
  result.difference = mean(candidate) - reference_mean;
  result.margin = relative ? margin.value * reference_mean : margin.value;
  result.discordance = discordance(candidate, reference);
  const bool binary = is_binary(candidate) && is_binary(reference);
  const double observed = variance(tested_differences(candidate, reference, margin));
  const double floor = binary ? std::max(0.0, result.margin * (1.0 - result.margin)) : 0.0;
  result.standard_error = std::sqrt(std::max(observed, floor) / static_cast<double>(result.n));
  result.one_sided_low = result.difference - z * result.standard_error;
  result.smallest_margin = margin_of_items(static_cast<double>(result.n), observed, binary);
  result.items_needed = items_of_margin(result.margin, observed, binary);
  result.verdict = judge(result, z);
  result.explanation = explain(result);
  return result;
}

double smallest_margin(int64_t items, double discordance) {
  return margin_of_items(static_cast<double>(items), discordance, true);
}

int64_t items_needed(double margin, double discordance) {
  return items_of_margin(margin, discordance, true);
}

double provable_discordance(int64_t items, double margin) {
  if (items < items_needed(margin, 0.0)) return -1.0;
  const double both = z_of_test_and_power();
  return std::min(1.0, static_cast<double>(items) * margin * margin / (both * both));
}

double discordance(std::span<const double> candidate, std::span<const double> reference) {
  if (candidate.empty()) return 0.0;
  int64_t different = 0;
  for (size_t i = 0; i < candidate.size(); ++i) different += candidate[i] != reference[i] ? 1 : 0;
  return static_cast<double>(different) / static_cast<double>(candidate.size());
}

std::vector<double> holm(std::span<const double> p_values) {
  const size_t n = p_values.size();
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted(n);
  double largest = 0.0;  // a later hypothesis is never rejected before an earlier one
  for (size_t rank = 0; rank < n; ++rank) {
    largest = std::max(largest, static_cast<double>(n - rank) * p_values[order[rank]]);
    adjusted[order[rank]] = std::min(1.0, largest);
  }
  return adjusted;
}

}  // namespace frugal::evaluate
