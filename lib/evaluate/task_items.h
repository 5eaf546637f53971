// Answers to a task as items: what paired tests between two models are made from. Free of LibTorch.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "tasks/metrics.h"
#include "tasks/questions.h"

namespace frugal::evaluate {

// The name of a metric: "acc_norm", "exact_match,strict-match" where a filter_list names filters.
std::string task_metric(const tasks::MetricResult& metric);
inline constexpr std::string_view kAnswerLogLikelihood = "answer_log_likelihood";

// One object for each question: "id", "metrics" {name: value, or [log-likelihood, words or bytes]},
// of choices "labels", "scores", "label", "predicted", "right" as classification has them, of
// generated text "generated" and "references"; "answer_log_likelihood" where an answer is scored.
std::vector<base::Json> task_items(const tasks::TaskConfig& task,
                                   std::span<const tasks::Question> questions,
                                   std::span<const tasks::Answer> answers,
                                   const tasks::TaskResult& result);

// Values of the items by metric.
struct TaskScores {
  struct Metric {
    std::string name;
    std::vector<double> values;
    std::vector<double> weights;  // words or bytes; empty: a plain mean
  };
  std::vector<std::string> ids;
  std::vector<Metric> metrics;  // answer_log_likelihood last, where every item has it
};
// Errors: an item without its keys, metrics that differ between items.
absl::StatusOr<TaskScores> task_scores(const std::vector<base::Json>& items,
                                       std::string_view where);

}  // namespace frugal::evaluate
