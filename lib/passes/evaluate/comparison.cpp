// Tested by: tests/passes/evaluate_test.cpp
#include "passes/evaluate/comparison.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace frugal::passes {
namespace {

using base::Json;
using evaluate::IndexStatistic;
using evaluate::Interval;

Json empty_row(std::string metric, const ComparisonContext& context, double value,
               double reference_value) {
  return Json{{"metric", std::move(metric)},
              {"reference", context.reference},
              {"value", base::finite_or_null(value)},
              {"reference_value", base::finite_or_null(reference_value)},
              {"difference", base::finite_or_null(value - reference_value)},
              {"low", nullptr},
              {"high", nullptr},
              {"confidence", 0.95},
              {"n", 0},
              {"method", nullptr},
              {"discordant", nullptr},
              {"margin", nullptr},
              {"verdict", nullptr},
              {"better", "higher"},
              {"one_sided_low", nullptr},
              {"smallest_margin", nullptr},
              {"items_needed", nullptr},
              {"p_value", nullptr},
              {"explanation", nullptr}};
}

void set_interval(Json& row, const std::optional<Interval>& interval) {
  if (!interval) return;
  row["low"] = base::finite_or_null(interval->low);
  row["high"] = base::finite_or_null(interval->high);
  row["confidence"] = interval->confidence;
  row["method"] = interval->method;
}

void set_difference(Json& row, const std::optional<evaluate::PairedDifference>& difference) {
  if (!difference) return;
  set_interval(row, difference->interval);
  row["p_value"] = difference->p_value;
}

// Fills what a verdict says; without a claim only how small a margin these items could prove.
absl::Status set_verdict(Json& row, std::span<const double> scores,
                         std::span<const double> reference,
                         const std::optional<evaluate::Margin>& margin) {
  // The smallest provable margin does not depend on the margin asked for; any one will do to learn
  // it.
  FRUGAL_ASSIGN_OR_RETURN(
      const evaluate::NonInferiority result,
      evaluate::non_inferiority(scores, reference, margin.value_or(evaluate::Margin{0.02})));
  row["smallest_margin"] = result.smallest_margin;
  if (!margin) return absl::OkStatus();
  row["margin"] = result.margin;
  row["verdict"] = evaluate::to_string(result.verdict);
  row["one_sided_low"] = result.one_sided_low;
  row["items_needed"] = result.items_needed;
  row["explanation"] = result.explanation;
  return absl::OkStatus();
}

template <typename Item>
absl::Status check_pairs(std::string_view task, const std::vector<Item>& items,
                         const std::vector<Item>& reference) {
  if (items.size() != reference.size()) {
    return base::internal("evaluate ", task, ": ", items.size(), " items, but ", reference.size(),
                          " of the reference");
  }
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].id != reference[i].id) {
      return base::internal("evaluate ", task, ": item ", i, " is '", items[i].id,
                            "', that of the reference '", reference[i].id, "'");
    }
  }
  return absl::OkStatus();
}

IndexStatistic mean_of(const std::vector<double>& values) {
  return [&values](std::span<const int64_t> indices) {
    double sum = 0.0;
    for (const int64_t i : indices) sum += values[static_cast<size_t>(i)];
    return sum / static_cast<double>(indices.size());
  };
}

std::vector<double> right_or_wrong(const std::vector<evaluate::ClassificationItem>& items) {
  std::vector<double> result;
  for (const auto& item : items) result.push_back(item.right ? 1.0 : 0.0);
  return result;
}

std::vector<double> coverages(const std::vector<evaluate::GenerationItem>& items) {
  std::vector<double> result;
  for (const auto& item : items) result.push_back(item.coverage);
  return result;
}

absl::StatusOr<Json> accuracy_row(std::string metric, const std::vector<double>& right,
                                  const std::vector<double>& reference,
                                  const ComparisonContext& context) {
  Json row = empty_row(metric, context, evaluate::mean(right), evaluate::mean(reference));
  int64_t only = 0, reference_only = 0;
  for (size_t i = 0; i < right.size(); ++i) {
    only += right[i] > reference[i] ? 1 : 0;
    reference_only += right[i] < reference[i] ? 1 : 0;
  }
  const int64_t n = static_cast<int64_t>(right.size());
  row["n"] = n;
  row["discordant"] = only + reference_only;
  row["p_value"] = evaluate::mcnemar(only, reference_only).p_value;
  set_interval(row, evaluate::paired_share_interval(only, reference_only, n));
  FRUGAL_RETURN_IF_ERROR(set_verdict(row, right, reference, context.margin_of(metric)));
  return row;
}

// Of log-likelihoods: their mean, or a perplexity made of them.
Json likelihood_row(std::string metric, const evaluate::TaskScores::Metric& own,
                    const evaluate::TaskScores::Metric& other, const ComparisonContext& context) {
  const bool mean = own.name == evaluate::kAnswerLogLikelihood;
  const std::vector<double> ones(own.values.size(), 1.0);
  const auto statistic = [&](const std::vector<double>& values) -> IndexStatistic {
    const std::vector<double>& weights = own.weights.empty() ? ones : own.weights;
    return [&values, &weights, mean,
            bits = own.name == "bits_per_byte"](std::span<const int64_t> indices) {
      const double each = mean_of(values)(indices) / mean_of(weights)(indices);
      return mean ? each : bits ? -each / std::log(2.0) : std::exp(-each);
    };
  };
  std::vector<int64_t> all(own.values.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  const IndexStatistic value = statistic(own.values), reference = statistic(other.values);
  Json row = empty_row(std::move(metric), context, value(all), reference(all));
  row["better"] = mean ? "higher" : "lower";
  row["n"] = own.values.size();
  set_difference(row, evaluate::paired_bootstrap(static_cast<int64_t>(own.values.size()), value,
                                                 reference, context.random));
  return row;
}

// Of any statistic of the items, higher is better: an interval of the paired difference.
Json statistic_row(std::string metric, size_t items, const IndexStatistic& own,
                   const IndexStatistic& other, const ComparisonContext& context) {
  std::vector<int64_t> all(items);
  std::iota(all.begin(), all.end(), int64_t{0});
  Json row = empty_row(std::move(metric), context, own(all), other(all));
  row["n"] = items;
  set_difference(
      row, evaluate::paired_bootstrap(static_cast<int64_t>(items), own, other, context.random));
  return row;
}

Json macro_f1_row(std::string metric, const std::vector<evaluate::ClassificationItem>& items,
                  const std::vector<evaluate::ClassificationItem>& reference,
                  const ComparisonContext& context) {
  Json row = statistic_row(
      std::move(metric), items.size(),
      [&](std::span<const int64_t> i) { return evaluate::macro_f1(items, i); },
      [&](std::span<const int64_t> i) { return evaluate::macro_f1(reference, i); }, context);
  int64_t different = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    different += items[i].predicted != reference[i].predicted ? 1 : 0;
  }
  row["discordant"] = different;
  return row;
}

absl::StatusOr<Json> coverage_row(const std::string& metric, const std::vector<double>& own,
                                  const std::vector<double>& other,
                                  const ComparisonContext& context) {
  Json row = statistic_row(metric, own.size(), mean_of(own), mean_of(other), context);
  row["discordant"] =
      std::llround(evaluate::discordance(own, other) * static_cast<double>(own.size()));
  FRUGAL_RETURN_IF_ERROR(set_verdict(row, own, other, context.margin_of(metric)));
  return row;
}

}  // namespace

std::optional<evaluate::Margin> ComparisonContext::margin_of(std::string_view metric) const {
  for (const EvaluateClaim& claim : claims) {
    if (claim.covers(metric)) return claim.margin;
  }
  return std::nullopt;
}

bool is_right_or_wrong(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return v == 0.0 || v == 1.0; });
}

absl::StatusOr<std::vector<Json>> compare(
    std::string_view task, const std::vector<evaluate::ClassificationItem>& items,
    const std::vector<evaluate::ClassificationItem>& reference, const ComparisonContext& context) {
  FRUGAL_RETURN_IF_ERROR(check_pairs(task, items, reference));
  FRUGAL_ASSIGN_OR_RETURN(Json accuracy,
                          accuracy_row(base::str_cat(task, "/accuracy"), right_or_wrong(items),
                                       right_or_wrong(reference), context));
  return std::vector<Json>{std::move(accuracy), macro_f1_row(base::str_cat(task, "/macro_f1"),
                                                             items, reference, context)};
}

absl::StatusOr<std::vector<Json>> compare(std::string_view task,
                                          const std::vector<evaluate::GenerationItem>& items,
                                          const std::vector<evaluate::GenerationItem>& reference,
                                          const ComparisonContext& context) {
  FRUGAL_RETURN_IF_ERROR(check_pairs(task, items, reference));
  const std::vector<double> own = coverages(items), other = coverages(reference);
  std::vector<Json> rows;
  if (std::isfinite(evaluate::mean(own))) {
    FRUGAL_ASSIGN_OR_RETURN(Json row,
                            coverage_row(base::str_cat(task, "/coverage"), own, other, context));
    rows.push_back(std::move(row));
  }
  const std::vector<evaluate::TextMetric> metrics = evaluate::text_metrics(items);
  const std::vector<evaluate::TextMetric> others = evaluate::text_metrics(reference);
  for (size_t m = 0; m < std::min(metrics.size(), others.size()); ++m) {
    rows.push_back(statistic_row(base::str_cat(task, "/", metrics[m].name), items.size(),
                                 metrics[m].of, others[m].of, context));
  }
  return rows;
}

absl::StatusOr<std::vector<Json>> compare(std::string_view task, const evaluate::TaskScores& scores,
                                          const evaluate::TaskScores& reference,
                                          const ComparisonContext& context) {
  if (scores.ids != reference.ids || scores.metrics.size() != reference.metrics.size())
    return base::internal("evaluate ", task, ": the items are not those of the reference");
  std::vector<Json> rows;
  for (size_t m = 0; m < scores.metrics.size(); ++m) {
    const evaluate::TaskScores::Metric &own = scores.metrics[m], &other = reference.metrics[m];
    const std::string metric = base::str_cat(task, "/", own.name);
    if (own.name != other.name || own.weights != other.weights)
      return base::internal("evaluate ", metric, ": the items are not those of the reference");
    if (is_right_or_wrong(own.values) && is_right_or_wrong(other.values)) {
      FRUGAL_ASSIGN_OR_RETURN(Json row, accuracy_row(metric, own.values, other.values, context));
      rows.push_back(std::move(row));
    } else {
      rows.push_back(likelihood_row(metric, own, other, context));
    }
  }
  return rows;
}

absl::StatusOr<Json> compare(std::string_view metric, const evaluate::Divergence& divergence,
                             const ComparisonContext& context) {
  std::vector<double> nll, reference_nll, tokens, likelihood, reference_likelihood;
  std::vector<int64_t> documents;
  for (const evaluate::WindowDivergence& item : divergence.items) {
    documents.push_back(item.document);
    tokens.push_back(static_cast<double>(item.tokens));
    nll.push_back(item.nll * tokens.back());
    reference_nll.push_back(item.reference_nll * tokens.back());
  }
  for (std::vector<double>* values : {&tokens, &nll, &reference_nll})
    *values = evaluate::sums_by_group(*values, documents);
  // Scores whose plain mean over documents is the mean over tokens, whatever the documents'
  // lengths.
  const double length = evaluate::mean(tokens);
  for (size_t w = 0; w < nll.size(); ++w) {
    likelihood.push_back(-nll[w] / length);
    reference_likelihood.push_back(-reference_nll[w] / length);
  }
  Json row =
      empty_row(std::string(metric), context, divergence.model.value, divergence.reference.value);
  const auto n = static_cast<int64_t>(nll.size());
  row["better"] = "lower";
  row["n"] = n;
  const auto perplexity_of = [&tokens](const std::vector<double>& sums) -> IndexStatistic {
    return [sum = mean_of(sums), count = mean_of(tokens)](std::span<const int64_t> indices) {
      return std::exp(sum(indices) / count(indices));
    };
  };
  set_difference(row, evaluate::paired_bootstrap(n, perplexity_of(nll),
                                                 perplexity_of(reference_nll), context.random));
  const std::optional<evaluate::Margin> margin = context.margin_of(metric);
  std::optional<evaluate::Margin> log_ratio;
  if (margin) log_ratio = evaluate::Margin{std::log1p(margin->value)};
  FRUGAL_RETURN_IF_ERROR(set_verdict(row, likelihood, reference_likelihood, log_ratio));
  // The margin as declared, a share of the reference's perplexity; the explanation speaks of
  // log-likelihoods.
  if (margin) row["margin"] = margin->value;
  return row;
}

void adjust_p_values(std::vector<Json>& rows) {
  std::vector<double> p_values;
  for (const Json& row : rows) {
    if (!row["p_value"].is_null()) p_values.push_back(row["p_value"].get<double>());
  }
  const std::vector<double> adjusted = evaluate::holm(p_values);
  size_t next = 0;
  for (Json& row : rows) {
    if (!row["p_value"].is_null()) row["p_value_holm"] = adjusted[next++];
  }
}

}  // namespace frugal::passes
