// Tested by: tests/passes/evaluate_tasks_test.cpp
#include "passes/evaluate/task_files.h"

#include <algorithm>
#include <cmath>

#include "evaluate/paired.h"
#include "evaluate/statistics.h"
#include "passes/evaluate/comparison.h"

namespace frugal::passes {
namespace {

using base::str_cat;
using evaluate::Interval;
using evaluate::TaskScores;
using tasks::MetricResult;
using tasks::OutputType;

std::string_view unit_of(const MetricResult& metric) {
  if (metric.name == "bits_per_byte") return "bits/byte";
  return metric.name.ends_with("perplexity") ? "" : "fraction";
}

// What the denominator is, where a name does not say it.
std::string_view meaning_of(std::string_view metric) {
  if (metric == "acc")
    return "Share of questions whose right choice has the largest log-likelihood";
  if (metric == "acc_norm")
    return "Share of questions whose right choice has the largest log-likelihood for each of its "
           "characters";
  if (metric == "acc_bytes")
    return "Share of questions whose right choice has the largest log-likelihood for each of its "
           "bytes";
  if (metric == "exact_match") return "Share of questions answered with the very answer";
  if (metric == "perplexity") return "exp of the mean negative log-likelihood of the answers";
  if (metric == "word_perplexity") return "exp of the negative log-likelihood for each word";
  if (metric == "byte_perplexity") return "exp of the negative log-likelihood for each byte";
  return "Negative log2-likelihood for each byte";
}

std::optional<Interval> interval_of(const MetricResult& metric, base::RandomStream random) {
  const auto n = static_cast<int64_t>(metric.items.size());
  if (!metric.weights.empty()) {
    auto interval = evaluate::bootstrap_ratio_interval(metric.items, metric.weights, random);
    if (!interval) return interval;
    const auto value = [&](double mean) {
      return metric.name == "bits_per_byte" ? -mean / std::log(2.0) : std::exp(-mean);
    };
    const Interval means = *interval;
    interval->low = value(means.high);
    interval->high = value(means.low);
    return interval;
  }
  if (metric.name == "perplexity") {
    auto interval = evaluate::bootstrap_mean_interval(metric.items, random);
    if (!interval) return interval;
    const Interval means = *interval;
    interval->low = std::exp(-means.high);
    interval->high = std::exp(-means.low);
    return interval;
  }
  if (is_right_or_wrong(metric.items))
    return evaluate::wilson_interval(std::count(metric.items.begin(), metric.items.end(), 1.0), n);
  return evaluate::bootstrap_mean_interval(metric.items, random);
}

void set_interval(pass::Statistic& statistic, const std::optional<Interval>& interval) {
  if (!interval) return;
  statistic.low = interval->low;
  statistic.high = interval->high;
  statistic.confidence = interval->confidence;
  statistic.method = interval->method;
}

std::string shots_in_words(int64_t shots) {
  return shots == 0 ? "without examples"
                    : str_cat("behind ", shots, shots == 1 ? " example" : " examples");
}

// Why a share of right answers ranks no models; empty where it may.
std::string_view floor_of(const tasks::TaskData& task, std::string_view metric, double value) {
  if (task.config.type == OutputType::kGenerateUntil)
    return metric.starts_with("exact_match") && value == 0.0 ? "none right" : "";
  if (task.config.type != OutputType::kMultipleChoice || !metric.starts_with("acc")) return "";
  return tasks::chance_of(task.questions, value).distinguishable ? "" : "at chance";
}

pass::Statistic statistic_of(std::string_view name, const tasks::TaskData& task,
                             const MetricResult& metric, base::RandomStream random) {
  pass::Statistic statistic{.name = str_cat(name, "/", evaluate::task_metric(metric)),
                            .unit = std::string(unit_of(metric))};
  if (std::isfinite(metric.value)) statistic.value = metric.value;
  statistic.help = str_cat(meaning_of(metric.name), ", ", shots_in_words(task.shots),
                           "; lm-evaluation-harness' ", metric.name, ",", metric.filter);
  if (metric.standard_error) statistic.help += str_cat(", standard error ", *metric.standard_error);
  statistic.help += ".";
  statistic.n = static_cast<int64_t>(metric.items.size());
  set_interval(statistic, interval_of(metric, random));
  return statistic;
}

bool has_scored_answers(OutputType type) {
  return type == OutputType::kMultipleChoice || type == OutputType::kLogLikelihood;
}

}  // namespace

absl::Status check_task_file(const EvaluateOptions& options, const text::DataSource& source,
                             const pass::ModelInfo& model, std::string_view name) {
  // The first question shows whether the templates fit the documents.
  const auto task = tasks::load_task(source, 1, options.fewshot);
  if (!task.ok()) return base::annotate(task.status(), str_cat("evaluate: task '", name, "'"));
  const int64_t room = task->config.generation.max_new_tokens;
  if (task->config.type == OutputType::kGenerateUntil && room >= model.config.context_length)
    return base::invalid_argument("evaluate: task '", name, "' asks for answers of up to ", room,
                                  " tokens, which leave no room for a question in the context of ",
                                  model.config.context_length,
                                  "; lower generation_kwargs: max_gen_toks");
  return absl::OkStatus();
}

std::vector<std::string> claimable_metrics(const text::DataSource& source, std::string_view name) {
  const auto task = tasks::read_task(source.task_file);
  std::vector<std::string> names;
  if (!task.ok()) return names;
  for (const tasks::FilterConfig& filter : task->filters) {
    for (const tasks::MetricConfig& metric : task->metrics) {
      if (metric.name.ends_with("perplexity") || metric.name == "bits_per_byte") continue;
      names.push_back(str_cat(name, "/", metric.name, filter.name == "none" ? "" : ",",
                              filter.name == "none" ? "" : filter.name));
    }
  }
  return names;
}

std::vector<pass::Statistic> statistics_of(std::string_view name, const tasks::TaskData& task,
                                           std::span<const tasks::Answer> answers,
                                           const tasks::TaskResult& result,
                                           base::RandomStream random) {
  std::vector<pass::Statistic> all;
  for (const MetricResult& metric : result.metrics)
    all.push_back(statistic_of(name, task, metric, random));
  mark_floors(name, task, all);
  if (has_scored_answers(task.config.type)) {
    const std::vector<double> values = tasks::answer_log_likelihoods(task.questions, answers);
    pass::Statistic statistic{
        .name = str_cat(name, "/", evaluate::kAnswerLogLikelihood),
        .unit = "nats",
        .help =
            "Mean log-likelihood of the right answer: a finer measure than the share of right "
            "choices, and one that moves where that is chance."};
    if (!values.empty()) statistic.value = evaluate::mean(values);
    statistic.n = static_cast<int64_t>(values.size());
    set_interval(statistic, evaluate::bootstrap_mean_interval(values, random));
    all.push_back(std::move(statistic));
  }
  if (task.config.type == OutputType::kMultipleChoice) {
    all.push_back({.name = str_cat(name, "/chance"),
                   .value = tasks::chance_of(task.questions, 0.0).rate,
                   .unit = "fraction",
                   .help = "Share of right choices that guessing gives on average.",
                   .provenance = "modelled"});
  }
  return all;
}

std::vector<pass::Statistic> statistics_of(std::string_view name,
                                           const evaluate::TaskScores& scores,
                                           const base::RandomStream& random) {
  constexpr std::string_view kMeans[] = {
      "acc",        "acc_norm",        "acc_bytes",       "exact_match",
      "perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte"};
  std::vector<pass::Statistic> all;
  for (const TaskScores::Metric& metric : scores.metrics) {
    pass::Statistic statistic{.name = str_cat(name, "/", metric.name)};
    statistic.n = static_cast<int64_t>(metric.values.size());
    if (metric.name == evaluate::kAnswerLogLikelihood) {
      statistic.value = evaluate::mean(metric.values);
      set_interval(statistic, evaluate::bootstrap_mean_interval(metric.values, random));
    } else {
      MetricResult result;
      result.name = metric.name.substr(0, metric.name.find(','));
      if (std::find(std::begin(kMeans), std::end(kMeans), result.name) == std::end(kMeans))
        continue;
      result.items = metric.values;
      result.weights = metric.weights;
      if (const double value = tasks::metric_value(result); std::isfinite(value))
        statistic.value = value;
      set_interval(statistic, interval_of(result, random));
    }
    all.push_back(std::move(statistic));
  }
  return all;
}

tasks::TaskData questions_of(const std::vector<evaluate::ClassificationItem>& items) {
  tasks::TaskData task;
  task.config.type = OutputType::kMultipleChoice;
  for (const evaluate::ClassificationItem& item : items) {
    tasks::Question& question = task.questions.emplace_back();
    question.choices = item.labels;
    question.right = {0};  // which one does not matter to guessing
  }
  return task;
}

tasks::TaskResult accuracy_of(const std::vector<evaluate::ClassificationItem>& items) {
  MetricResult metric{.name = "accuracy", .filter = "none"};
  for (const evaluate::ClassificationItem& item : items)
    metric.items.push_back(item.right ? 1.0 : 0.0);
  metric.value = evaluate::mean(metric.items);
  return {.metrics = {std::move(metric)}, .filtered = {}};
}

void mark_floors(std::string_view name, const tasks::TaskData& task,
                 std::vector<pass::Statistic>& statistics) {
  for (pass::Statistic& statistic : statistics) {
    if (!statistic.value || !statistic.name.starts_with(str_cat(name, "/"))) continue;
    const std::string_view metric = std::string_view(statistic.name).substr(name.size() + 1);
    if (const std::string_view floor = floor_of(task, metric, *statistic.value); !floor.empty())
      statistic.marks.emplace_back(floor);
  }
}

std::vector<std::string> warnings_of(std::string_view name, const tasks::TaskData& task,
                                     const tasks::TaskResult& result) {
  std::vector<std::string> warnings;
  for (const MetricResult& metric : result.metrics) {
    const std::string metric_name = str_cat(name, "/", evaluate::task_metric(metric));
    const std::string_view floor = floor_of(task, metric.name, metric.value);
    if (floor == "none right") {
      warnings.push_back(
          str_cat(metric_name, ": none of ", metric.items.size(),
                  " answers is right, so this task tells nothing about how models of "
                  "this size compare"));
    } else if (!floor.empty()) {
      const auto right = std::count(metric.items.begin(), metric.items.end(), 1.0);
      const double rate = tasks::chance_of(task.questions, metric.value).rate;
      warnings.push_back(str_cat(metric_name, ": ", right, " right of ", metric.items.size(),
                                 " cannot be told from guessing (",
                                 std::round(1000.0 * rate) / 10.0, "%), so it ranks no models; ",
                                 name, "/", evaluate::kAnswerLogLikelihood,
                                 " is the finer measure"));
    }
  }
  return warnings;
}

void doubt_floors(std::string_view name, const tasks::TaskData& task,
                  std::vector<base::Json>& rows) {
  for (base::Json& row : rows) {
    if (!row["reference_value"].is_number()) continue;
    const std::string metric = row["metric"].get<std::string>().substr(name.size() + 1);
    const std::string_view floor = floor_of(task, metric, row["reference_value"].get<double>());
    if (floor.empty()) continue;
    row["floor"] = floor;
    const std::string verdict =
        row["verdict"].is_string() ? row["verdict"].get<std::string>() : std::string();
    if (verdict != evaluate::to_string(evaluate::Verdict::kClaimed)) continue;
    row["verdict"] = evaluate::to_string(evaluate::Verdict::kNotClaimed);
    row["explanation"] =
        floor == "none right"
            ? std::string("the reference itself has no answer right, so nothing is kept")
            : str_cat("the reference itself cannot be told from guessing (",
                      std::round(1000.0 * tasks::chance_of(task.questions, 0.0).rate) / 10.0,
                      "%), so keeping its score shows nothing; ", name, "/",
                      evaluate::kAnswerLogLikelihood, " is the finer measure");
  }
}

}  // namespace frugal::passes
