#include "evaluate/task_items.h"

#include <algorithm>

namespace frugal::evaluate {
namespace {

using base::Json;

void add_choices(const tasks::Question& question, const tasks::Answer& answer, Json& item) {
  Json scores = Json::array();
  for (const double score : answer.log_likelihoods) scores.push_back(base::finite_or_null(score));
  const size_t best = tasks::best_choice(answer);
  const bool right = std::find(question.right.begin(), question.right.end(),
                               static_cast<int64_t>(best)) != question.right.end();
  item["label"] = question.right.empty()
                      ? Json()
                      : Json(question.choices[static_cast<size_t>(question.right.front())]);
  item["predicted"] = question.choices[best];
  item["right"] = right;
  item["labels"] = question.choices;
  item["scores"] = std::move(scores);
}

absl::Status add_value(const Json& value, TaskScores::Metric& metric, const std::string& place) {
  const bool weighted = metric.weights.size() == metric.values.size();  // as those before
  if (weighted && value.is_array() && value.size() == 2 && value[0].is_number() &&
      value[1].is_number()) {
    metric.values.push_back(value[0].get<double>());
    metric.weights.push_back(value[1].get<double>());
    return absl::OkStatus();
  }
  if (!value.is_number() || !metric.weights.empty())
    return base::invalid_argument(place, ": ", metric.name, " is ", value.dump(), ", expected ",
                                  metric.weights.empty() ? "a number" : "a value and its weight");
  metric.values.push_back(value.get<double>());
  return absl::OkStatus();
}

}  // namespace

std::string task_metric(const tasks::MetricResult& metric) {
  return metric.filter == "none" ? metric.name : base::str_cat(metric.name, ",", metric.filter);
}

std::vector<Json> task_items(const tasks::TaskConfig& task,
                             std::span<const tasks::Question> questions,
                             std::span<const tasks::Answer> answers,
                             const tasks::TaskResult& result) {
  std::vector<Json> items;
  for (size_t i = 0; i < questions.size(); ++i) {
    Json item{{"id", questions[i].id}, {"metrics", Json::object()}};
    for (const tasks::MetricResult& metric : result.metrics) {
      Json& value = item["metrics"][task_metric(metric)];
      if (metric.weights.empty())
        value = metric.items[i];
      else
        value = {metric.items[i], metric.weights[i]};
    }
    if (task.type == tasks::OutputType::kGenerateUntil) {
      item["generated"] = answers[i].text;
      item["references"] = questions[i].references;
    } else if (task.type != tasks::OutputType::kRolling) {
      const auto scored =
          tasks::answer_log_likelihoods(questions.subspan(i, 1), answers.subspan(i, 1));
      if (!scored.empty())
        item[std::string(kAnswerLogLikelihood)] = base::finite_or_null(scored[0]);
    }
    if (task.type == tasks::OutputType::kMultipleChoice)
      add_choices(questions[i], answers[i], item);
    items.push_back(std::move(item));
  }
  return items;
}

absl::StatusOr<TaskScores> task_scores(const std::vector<Json>& items, std::string_view where) {
  TaskScores scores;
  TaskScores::Metric answers{
      .name = std::string(kAnswerLogLikelihood), .values = {}, .weights = {}};
  for (const Json& item : items) {
    const std::string place = base::str_cat(where, ": item ", scores.ids.size());
    FRUGAL_ASSIGN_OR_RETURN(std::string id, base::json_get<std::string>(item, "id", place));
    FRUGAL_ASSIGN_OR_RETURN(const Json metrics, base::json_get<Json>(item, "metrics", place));
    if (scores.ids.empty()) {
      for (const auto& [name, value] : metrics.items())
        scores.metrics.push_back({.name = name, .values = {}, .weights = {}});
    }
    for (TaskScores::Metric& metric : scores.metrics) {
      FRUGAL_ASSIGN_OR_RETURN(const Json value, base::json_get<Json>(metrics, metric.name, place));
      FRUGAL_RETURN_IF_ERROR(add_value(value, metric, place));
    }
    if (const auto answer = item.find(answers.name); answer != item.end() && answer->is_number())
      answers.values.push_back(answer->get<double>());
    scores.ids.push_back(std::move(id));
  }
  if (!items.empty() && answers.values.size() == items.size())
    scores.metrics.push_back(std::move(answers));
  return scores;
}

}  // namespace frugal::evaluate
