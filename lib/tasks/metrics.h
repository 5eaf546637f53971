// What answers are worth: lm-evaluation-harness' metrics with its standard errors, document by
// document.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tasks/questions.h"
#include "tasks/task_file.h"

namespace frugal::tasks {

// What a model made of a question.
struct Answer {
  std::vector<double> log_likelihoods;  // in nats, one for each continuation
  std::vector<bool> greedy;             // whether the continuation is what greedy decoding gives
  std::string text;                     // generate_until: up to the first stop sequence
};

struct MetricResult {
  std::string name;    // "acc_norm"
  std::string filter;  // "none", or a name of filter_list
  double value = 0.0;
  // Of means sd/sqrt(n); of perplexity a bootstrap of 100,000 draws, those of Python's generator;
  // absent where the original has none, and below two documents.
  std::optional<double> standard_error;
  bool higher_is_better = true;
  // By document. Of weighted perplexities: log-likelihoods, with the words or bytes they are of.
  std::vector<double> items;
  std::vector<double> weights;
};

// What `value` comes to by name, items and weights.
double metric_value(const MetricResult& result);

struct TaskResult {
  std::vector<MetricResult> metrics;  // in the order of filter_list, then metric_list
  // generate_until: by filter, what it made of each answer.
  std::vector<std::vector<std::string>> filtered;
};

// Errors: counts that do not fit; a pattern that takes too long.
absl::StatusOr<TaskResult> score_answers(const TaskConfig& task,
                                         std::span<const Question> questions,
                                         std::span<const Answer> answers);

// len(re.split(r"\s+", text)).
int64_t count_words(std::string_view text);

// The choice that a model finds best, of the sums as they are: the first of equal ones.
size_t best_choice(const Answer& answer);

// multiple_choice: how often guessing is right on average, and whether `accuracy` over these
// questions can be told from it: an exact two-sided test of the count at 5%, in the normal form
// beyond 1,000 questions.
struct Chance {
  double rate = 0.0;
  bool distinguishable = false;
};
Chance chance_of(std::span<const Question> questions, double accuracy);

// The mean over questions of the log-likelihood of a right answer, in nats: what still moves where
// accuracy is chance. One value for each question that has a right answer.
std::vector<double> answer_log_likelihoods(std::span<const Question> questions,
                                           std::span<const Answer> answers);

}  // namespace frugal::tasks
