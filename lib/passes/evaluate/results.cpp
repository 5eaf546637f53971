// Tested by: tests/passes/evaluate_test.cpp
#include "passes/evaluate/results.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_format.h"
#include "base/text.h"
#include "evaluate/task_items.h"

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

namespace {

// A normal interval from a standard error.
void set_normal(Statistic& target, double error, std::string_view method) {
  if (!std::isfinite(error) || !target.value) return;
  const double half = evaluate::normal_quantile(0.975) * error;
  target.low = *target.value - half;
  target.high = *target.value + half;
  target.method = method;
}

Statistic answer_log_likelihood(std::string_view task,
                                const std::vector<evaluate::ClassificationItem>& items) {
  std::vector<double> values;
  for (const evaluate::ClassificationItem& item : items) {
    const auto label = std::find(item.labels.begin(), item.labels.end(), item.label);
    if (label != item.labels.end())
      values.push_back(item.scores[static_cast<size_t>(label - item.labels.begin())]);
  }
  Statistic result = statistic(
      str_cat(task, "/", evaluate::kAnswerLogLikelihood), evaluate::mean(values), "nats",
      "Mean log-likelihood of the right label: a finer measure than accuracy, and one that moves "
      "where that is chance.",
      static_cast<int64_t>(values.size()));
  set_normal(result, evaluate::standard_error(values), "normal");
  return result;
}

}  // namespace

std::vector<Statistic> statistics_of(std::string_view task,
                                     const evaluate::Classification& result) {
  const int64_t n = static_cast<int64_t>(result.items.size());
  return {
      statistic(str_cat(task, "/accuracy"), result.accuracy, "fraction",
                "Share of examples whose right label is the most probable one.", n,
                result.accuracy_interval),
      statistic(str_cat(task, "/macro_f1"), result.macro_f1, "fraction",
                "Unweighted mean of the labels' F1.", n, result.macro_f1_interval),
      statistic(str_cat(task, "/calibration_error"), result.calibration_error, "fraction",
                "Expected calibration error over 10 bins of the predicted label's probability.", n),
      answer_log_likelihood(task, result.items)};
}

namespace {

std::string help_of(const evaluate::TextScore& score) {
  const std::string_view what =
      score.name == "bleu"      ? "BLEU of all texts, as sacrebleu 2.6 counts it: "
      : score.name == "chrf"    ? "chrF2 of all texts, as sacrebleu 2.6 counts it: "
      : score.name == "rouge_l" ? "ROUGE-L F1, mean over texts, as rouge-score 0.1.2 counts it: "
                                : "ROUGE-Lsum F1 (a sentence is a line), mean over texts, as "
                                  "rouge-score 0.1.2 counts it: ";
  return str_cat(what, score.signature, ".");
}

}  // namespace

std::vector<Statistic> statistics_of(std::string_view task, const evaluate::Generation& result) {
  const int64_t n = static_cast<int64_t>(result.items.size());
  std::vector<Statistic> all;
  if (std::isfinite(result.coverage)) {
    all.push_back(
        statistic(str_cat(task, "/coverage"), result.coverage, "fraction",
                  "Share of the asked-for attributes that a greedy text mentions, mean over texts.",
                  n, result.coverage_interval));
  }
  for (const evaluate::TextScore& score : result.scores) {
    all.push_back(statistic(str_cat(task, "/", score.name), score.value,
                            score.name.starts_with("rouge") ? "fraction" : "", help_of(score), n,
                            score.interval));
  }
  all.push_back(statistic(str_cat(task, "/distinct_1"), result.distinct_1, "fraction",
                          "Different words among all words of the generated texts.", n));
  all.push_back(statistic(str_cat(task, "/distinct_2"), result.distinct_2, "fraction",
                          "Different pairs of words among all pairs of the generated texts.", n));
  all.push_back(statistic(str_cat(task, "/repetition_4"), result.repetition_4, "fraction",
                          "Share of four words in a row that a text has said before, mean over "
                          "texts (seq-rep-4).",
                          n));
  all.push_back(statistic(str_cat(task, "/length_ratio"), result.length_ratio, "",
                          "Words generated for each word of the data's own completions.", n));
  return all;
}

std::vector<Statistic> statistics_of(const evaluate::Perplexity& result, std::string_view prefix) {
  std::string help =
      str_cat("exp of the mean negative log-likelihood, protocol ", result.protocol, ": ",
              result.windows, " windows, ", result.scored_tokens, " scored tokens, BOS ",
              result.bos, ", text sha256 ", result.text_sha256, ".");
  const bool llamacpp = result.protocol.starts_with("llamacpp-");
  if (llamacpp && result.token_error) {
    help += absl::StrFormat(
        " llama-perplexity prints +/- %.5f, which takes tokens for independent of each other; the "
        "interval does not.",
        *result.token_error);
  }
  const auto named = [&](std::string_view name) { return str_cat(prefix, name); };
  const int64_t n = result.documents;
  std::vector<Statistic> all = {
      statistic(named("perplexity"), result.value, "", help, n, result.interval)};
  if (!result.text) return all;
  const std::string counted = str_cat("documents' own text, protocol ", result.protocol, ".");
  all.push_back(statistic(named("word_perplexity"), result.text->word_perplexity, "",
                          str_cat("Perplexity for each word of the ", counted), n,
                          result.text->word_interval));
  all.push_back(statistic(named("byte_perplexity"), result.text->byte_perplexity, "",
                          str_cat("Perplexity for each byte of the ", counted), n,
                          result.text->byte_interval));
  all.push_back(statistic(named("bits_per_byte"), result.text->bits_per_byte, "bits/byte",
                          str_cat("Negative log2-likelihood for each byte of the ", counted), n,
                          result.text->bits_interval));
  return all;
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

namespace {

struct Percentile {
  std::string_view name, words;
  double value;
};

std::vector<Percentile> percentiles_of(const evaluate::Divergence& result) {
  return {{"p1", "1st percentile", result.percentile_1},
          {"p5", "5th percentile", result.percentile_5},
          {"p10", "10th percentile", result.percentile_10},
          {"p25", "25th percentile", result.percentile_25},
          {"median", "Median", result.median},
          {"p75", "75th percentile", result.percentile_75},
          {"p90", "90th percentile", result.percentile_90},
          {"p95", "95th percentile", result.percentile_95},
          {"p99", "99th percentile", result.percentile_99},
          {"p99_9", "99.9th percentile", result.percentile_99_9},
          {"maximum", "Largest value", result.maximum}};
}

}  // namespace

std::vector<Statistic> statistics_of(const evaluate::Divergence& result, std::string_view reference,
                                     std::string_view prefix) {
  const std::string direction = str_cat(evaluate::kDivergenceDirection, ", reference ", reference);
  const int64_t n = result.model.documents;
  const auto number = [&](std::string_view name, double value, std::string_view unit,
                          std::string help,
                          const std::optional<Interval>& interval = std::nullopt) {
    return statistic(str_cat(prefix, "kld/", name), value, std::string(unit), std::move(help), n,
                     interval);
  };
  std::vector<Statistic> all = {number("mean", result.mean_kl, "nats/token",
                                       str_cat("Mean ", direction, "."), result.interval)};
  for (const Percentile& percentile : percentiles_of(result)) {
    all.push_back(number(percentile.name, percentile.value, "nats/token",
                         str_cat(percentile.words, " over tokens of ", direction, ".")));
  }
  all.push_back(number("same_top", result.same_top, "fraction",
                       "Share of positions where both models find the same token most probable.",
                       result.same_top_interval));
  all.push_back(number("delta_p", result.delta_p, "fraction",
                       "Mean change of the true token's probability."));
  set_normal(all.back(), result.delta_p_error, "normal");
  all.push_back(number("delta_p_rms", result.delta_p_rms, "fraction",
                       "Root mean square change of the true token's probability."));
  set_normal(all.back(), result.delta_p_rms_error, "normal");
  all.push_back(
      number("expected_acceptance", result.expected_acceptance, "fraction",
             "Mean of sum min(p_reference, p_model): what speculative sampling would accept.",
             result.expected_acceptance_interval));
  all.push_back(number("ln_perplexity_ratio", result.ln_perplexity_ratio, "nats/token",
                       "ln of the perplexity ratio to the reference, paired over documents."));
  // From the documents' own differences: the covariance of both models is in it.
  set_normal(all.back(), result.ln_perplexity_ratio_error, "normal, paired");
  return all;
}

std::vector<Statistic> macro_averages(std::span<const TextResult> texts) {
  double nll = 0.0, kl = 0.0, same_top = 0.0;
  bool compared = true;
  std::vector<std::string> names;
  for (const TextResult& text : texts) {
    names.push_back(text.name);
    nll += text.perplexity.mean_nll;
    compared = compared && text.divergence.has_value();
    if (!text.divergence) continue;
    kl += text.divergence->mean_kl;
    same_top += text.divergence->same_top;
  }
  const double count = static_cast<double>(texts.size());
  const auto n = static_cast<int64_t>(texts.size());
  const std::string over = str_cat(base::join(names, ", "), ", each of the same weight.");
  std::vector<Statistic> all = {statistic("perplexity", std::exp(nll / count), "",
                                          str_cat("Geometric mean over the texts ", over), n)};
  if (!compared) return all;
  all.push_back(
      statistic("kld/mean", kl / count, "nats/token", str_cat("Mean over the texts ", over), n));
  all.push_back(statistic("kld/same_top", same_top / count, "fraction",
                          str_cat("Mean over the texts ", over), n));
  return all;
}

base::Json text_row(const TextResult& text) {
  const evaluate::Perplexity& own = text.perplexity;
  base::Json row{{"text", text.name},
                 {"protocol", own.protocol},
                 {"windows", own.windows},
                 {"documents", own.documents},
                 {"tokens", own.scored_tokens},
                 {"perplexity", base::finite_or_null(own.value)},
                 {"low", nullptr},
                 {"high", nullptr},
                 {"reference_perplexity", nullptr},
                 {"kl_mean", nullptr},
                 {"kl_low", nullptr},
                 {"kl_high", nullptr},
                 {"same_top", nullptr}};
  if (own.interval) row["low"] = own.interval->low, row["high"] = own.interval->high;
  if (!text.divergence) return row;
  const evaluate::Divergence& divergence = *text.divergence;
  row["reference_perplexity"] = base::finite_or_null(divergence.reference.value);
  row["kl_mean"] = base::finite_or_null(divergence.mean_kl);
  if (divergence.interval) {
    row["kl_low"] = divergence.interval->low;
    row["kl_high"] = divergence.interval->high;
  }
  row["same_top"] = base::finite_or_null(divergence.same_top);
  return row;
}

}  // namespace frugal::passes
