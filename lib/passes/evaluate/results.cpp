// Tested by: tests/passes/evaluate_test.cpp
#include "passes/evaluate/results.h"

#include <cmath>
#include <optional>

namespace frugal::passes {
namespace {

using base::str_cat;
using evaluate::Interval;
using pass::Statistic;

Statistic statistic(std::string name, double value, std::string unit, std::string help, int64_t n,
                    const std::optional<Interval>& interval = std::nullopt) {
  Statistic result{.name = std::move(name), .unit = std::move(unit), .help = std::move(help)};
  if (std::isfinite(value)) result.value = value;
  result.n = n;
  if (interval) {
    result.low = interval->low;
    result.high = interval->high;
    result.confidence = interval->confidence;
    result.method = interval->method;
  }
  return result;
}

}  // namespace

std::vector<Statistic> statistics_of(std::string_view task,
                                     const evaluate::Classification& result) {
  const int64_t n = static_cast<int64_t>(result.items.size());
  return {statistic(str_cat(task, "/accuracy"), result.accuracy, "fraction",
                    "Share of examples whose right label is the most probable one.", n,
                    result.accuracy_interval),
          statistic(str_cat(task, "/macro_f1"), result.macro_f1, "fraction",
                    "Unweighted mean of the labels' F1.", n, result.macro_f1_interval),
          statistic(str_cat(task, "/calibration_error"), result.calibration_error, "fraction",
                    "Expected calibration error over 10 bins of the predicted label's probability.",
                    n)};
}

std::vector<Statistic> statistics_of(std::string_view task, const evaluate::Generation& result) {
  const int64_t n = static_cast<int64_t>(result.items.size());
  return {
      statistic(str_cat(task, "/coverage"), result.coverage, "fraction",
                "Share of the asked-for attributes that a greedy text mentions, mean over texts.",
                n, result.coverage_interval),
      statistic(str_cat(task, "/distinct_2"), result.distinct_2, "fraction",
                "Different pairs of words among all pairs of the generated texts.", n),
      statistic(str_cat(task, "/length_ratio"), result.length_ratio, "",
                "Words generated for each word of the data's own completions.", n)};
}

std::vector<Statistic> statistics_of(const evaluate::Perplexity& result) {
  const std::string help =
      str_cat("exp of the mean negative log-likelihood, protocol ", result.protocol, ": ",
              result.windows, " windows, ", result.scored_tokens, " scored tokens, BOS ",
              result.bos, ", text sha256 ", result.text_sha256, ".");
  return {statistic("perplexity", result.value, "", help, result.windows, result.interval)};
}

std::vector<Statistic> runtime_difference(const evaluate::Divergence& result,
                                          std::string_view engine) {
  const std::string of = str_cat(engine, " and frugal's fp32 forward of the same weights, ",
                                 result.windows, " windows, ", result.positions, " positions");
  return {
      statistic("runtime_difference/kld_mean", result.mean_kl, "nats/token",
                str_cat("Mean KL(frugal's forward || runtime): ", of, "."), result.windows,
                result.interval),
      statistic("runtime_difference/same_top", result.same_top, "fraction",
                str_cat("Share of positions with the same most probable token: ", of, "."),
                result.windows, result.same_top_interval),
      statistic("runtime_difference/ln_perplexity_ratio", result.ln_perplexity_ratio, "nats/token",
                str_cat("ln of the runtime's perplexity by that of the forward: ", of, "."),
                result.windows)};
}

std::vector<Statistic> statistics_of(const evaluate::Divergence& result,
                                     std::string_view reference) {
  const std::string direction = str_cat(evaluate::kDivergenceDirection, ", reference ", reference);
  const auto nats = [&](std::string name, double value, std::string help,
                        const std::optional<Interval>& interval = std::nullopt) {
    return statistic("kld/" + name, value, "nats/token", std::move(help), result.windows, interval);
  };
  const auto share = [&](std::string name, double value, std::string help,
                         const std::optional<Interval>& interval = std::nullopt) {
    return statistic("kld/" + name, value, "fraction", std::move(help), result.windows, interval);
  };
  std::vector<Statistic> all = {
      nats("mean", result.mean_kl, str_cat("Mean ", direction, "."), result.interval),
      nats("median", result.median, str_cat("Median over tokens of ", direction, ".")),
      nats("p99", result.percentile_99, str_cat("99th percentile over tokens of ", direction, ".")),
      nats("maximum", result.maximum, str_cat("Largest ", direction, " of a token.")),
      share("same_top", result.same_top,
            "Share of positions where both models find the same token most probable.",
            result.same_top_interval),
      share("delta_p_rms", result.delta_p_rms,
            "Root mean square change of the true token's probability."),
      share("expected_acceptance", result.expected_acceptance,
            "Mean of sum min(p_reference, p_model): what speculative sampling would accept."),
      nats("ln_perplexity_ratio", result.ln_perplexity_ratio,
           "ln of the perplexity ratio to the reference, paired over windows.")};
  if (std::isfinite(result.ln_perplexity_ratio_error)) {
    // Normal interval from the windows' own differences: the covariance of both models is in it.
    const double half = evaluate::normal_quantile(0.975) * result.ln_perplexity_ratio_error;
    all.back().low = result.ln_perplexity_ratio - half;
    all.back().high = result.ln_perplexity_ratio + half;
    all.back().method = "normal, paired";
  }
  return all;
}

}  // namespace frugal::passes
