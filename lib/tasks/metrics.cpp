#include "tasks/metrics.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <numeric>

#include "chat/unicode.h"
#include "tasks/python_random.h"
#include "tasks/python_regex.h"

namespace frugal::tasks {
namespace {

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// sqrt(sum (x - mean)^2 / (n - 1)).
double sample_deviation(const std::vector<double>& values) {
  const double mean = mean_of(values);
  double sum = 0.0;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

// Of exp(-mean): the deviation over resamples, drawn by Random(0), Random(1), ... a thousand each.
double bootstrapped_perplexity_error(const std::vector<double>& items) {
  constexpr int kDraws = 100'000, kDrawsPerSeed = 1'000;
  std::vector<double> values;
  for (int seed = 0; seed < kDraws / kDrawsPerSeed; ++seed) {
    PythonRandom random(static_cast<uint64_t>(seed));
    for (int draw = 0; draw < kDrawsPerSeed; ++draw) {
      double sum = 0.0;
      for (size_t i = 0; i < items.size(); ++i) sum += items[random.choice(items.size())];
      values.push_back(std::exp(-sum / static_cast<double>(items.size())));
    }
  }
  return sample_deviation(values);
}

size_t largest(const std::vector<double>& values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

// The choice with the largest log-likelihood for each character, or byte, of its text.
size_t best_by_length(const Question& question, const Answer& answer, bool bytes) {
  std::vector<double> scores;
  for (size_t i = 0; i < question.choices.size(); ++i) {
    const std::string& choice = question.choices[i];
    const int64_t length =
        bytes ? static_cast<int64_t>(choice.size()) : chat::count_characters(choice);
    scores.push_back(answer.log_likelihoods[i] / static_cast<double>(length));
  }
  return largest(scores);
}

bool is_right(const Question& question, size_t choice) {
  return std::find(question.right.begin(), question.right.end(), static_cast<int64_t>(choice)) !=
         question.right.end();
}

double choice_score(std::string_view metric, const Question& question, const Answer& answer) {
  if (metric == "acc") return is_right(question, best_choice(answer)) ? 1.0 : 0.0;
  if (metric == "acc_norm") return is_right(question, best_by_length(question, answer, false));
  if (metric == "acc_bytes") return is_right(question, best_by_length(question, answer, true));
  // exact_match
  return std::any_of(question.right.begin(), question.right.end(),
                     [&](int64_t choice) { return answer.greedy[static_cast<size_t>(choice)]; });
}

void score_rolling(const TaskConfig& task, const Question& question, const Answer& answer,
                   MetricResult& result) {
  // The preprocessing has seen to it that there is a page.
  const std::string text = task.preprocessing == kWikitext
                               ? question.document.value("page", std::string())
                               : question.continuations.front();
  result.items.push_back(answer.log_likelihoods.front());
  result.weights.push_back(result.name == "word_perplexity" ? static_cast<double>(count_words(text))
                                                            : static_cast<double>(text.size()));
}

std::string without_ascii(std::string_view text, bool digits) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool digit = c >= '0' && c <= '9';
    const bool mark = byte < 0x80 && std::ispunct(byte) != 0;
    if (digits ? !digit : !mark) out += c;
  }
  return out;
}

// What exact_match compares.
class Normalizer {
 public:
  static absl::StatusOr<Normalizer> make(const MetricConfig& metric) {
    Normalizer result;
    result.metric_ = metric;
    for (const std::string& pattern : metric.regexes_to_ignore) {
      FRUGAL_ASSIGN_OR_RETURN(PythonRegex regex, PythonRegex::compile(pattern));
      result.ignored_.push_back(std::move(regex));
    }
    return result;
  }
  absl::StatusOr<std::string> operator()(std::string text) const {
    for (const PythonRegex& regex : ignored_) {
      FRUGAL_ASSIGN_OR_RETURN(text, regex.remove_all(text));
    }
    if (metric_.ignore_case) text = chat::lower(text);
    if (metric_.ignore_punctuation) text = without_ascii(text, false);
    if (metric_.ignore_numbers) text = without_ascii(text, true);
    return text;
  }

 private:
  MetricConfig metric_;
  std::vector<PythonRegex> ignored_;
};

absl::StatusOr<double> exact_match(const Normalizer& normalized, const std::string& text,
                                   const std::vector<std::string>& references) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string own, normalized(text));
  for (const std::string& reference : references) {
    FRUGAL_ASSIGN_OR_RETURN(const std::string other, normalized(reference));
    if (own == other) return 1.0;
  }
  return 0.0;
}

std::string select_match(const std::vector<std::vector<std::string>>& found,
                         const FilterStep& step) {
  const auto count = static_cast<int64_t>(found.size());
  const int64_t index = step.group_select < 0 ? count + step.group_select : step.group_select;
  if (index < 0 || index >= count) return step.fallback;
  const std::vector<std::string>& groups = found[static_cast<size_t>(index)];
  const auto group = std::find_if(groups.begin(), groups.end(),
                                  [&](const auto& g) { return groups.size() == 1 || !g.empty(); });
  if (group == groups.end()) return step.fallback;
  return std::string(chat::strip(*group, chat::Sides::kBoth));
}

absl::StatusOr<std::string> apply_step(const FilterStep& step, std::string text) {
  switch (step.kind) {
    case FilterStep::Kind::kTakeFirst:
      return text;
    case FilterStep::Kind::kRemoveWhitespace:
      return std::string(chat::strip(text, chat::Sides::kBoth));
    case FilterStep::Kind::kLowercase:
      return chat::lower(text);
    case FilterStep::Kind::kRegex:
      break;
  }
  FRUGAL_ASSIGN_OR_RETURN(const PythonRegex regex, PythonRegex::compile(step.pattern));
  FRUGAL_ASSIGN_OR_RETURN(const auto found, regex.find_all(text));
  return found.empty() ? step.fallback : select_match(found, step);
}

void aggregate(MetricResult& result) {
  const double n = static_cast<double>(result.items.size());
  result.value = metric_value(result);
  if (!result.weights.empty() || result.items.size() < 2) return;
  result.standard_error = result.name == "perplexity"
                              ? bootstrapped_perplexity_error(result.items)
                              : sample_deviation(result.items) / std::sqrt(n);
}

absl::Status check_counts(const Question& question, const Answer& answer) {
  if (answer.log_likelihoods.size() == question.continuations.size() &&
      answer.greedy.size() == question.continuations.size())
    return absl::OkStatus();
  return base::internal("question '", question.id, "' has ", question.continuations.size(),
                        " continuations, its answer ", answer.log_likelihoods.size());
}

absl::Status score_likelihoods(const TaskConfig& task, std::span<const Question> questions,
                               std::span<const Answer> answers, MetricResult& result) {
  for (size_t i = 0; i < questions.size(); ++i) {
    FRUGAL_RETURN_IF_ERROR(check_counts(questions[i], answers[i]));
    if (task.type == OutputType::kRolling) {
      score_rolling(task, questions[i], answers[i], result);
    } else if (task.type == OutputType::kMultipleChoice) {
      result.items.push_back(choice_score(result.name, questions[i], answers[i]));
    } else {
      result.items.push_back(result.name == "acc" ? static_cast<double>(answers[i].greedy.front())
                                                  : answers[i].log_likelihoods.front());
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> filter_texts(const FilterConfig& filter,
                                                      std::span<const Answer> answers) {
  std::vector<std::string> texts;
  for (const Answer& answer : answers) {
    std::string text = answer.text;
    for (const FilterStep& step : filter.steps) {
      FRUGAL_ASSIGN_OR_RETURN(text, apply_step(step, std::move(text)));
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

// P(X = k) for k = 0..n of the number of right guesses, question by question.
std::vector<double> guess_distribution(const std::vector<double>& rates) {
  std::vector<double> p = {1.0};
  for (const double rate : rates) {
    p.push_back(0.0);
    for (size_t k = p.size() - 1; k > 0; --k) p[k] = p[k] * (1.0 - rate) + p[k - 1] * rate;
    p[0] *= 1.0 - rate;
  }
  return p;
}

}  // namespace

int64_t count_words(std::string_view text) {
  int64_t words = 1;
  bool space = false;
  for (size_t at = 0; at < text.size();) {
    const bool now = chat::is_space(chat::next_character(text, at));
    words += now && !space ? 1 : 0;
    space = now;
  }
  return words;
}

size_t best_choice(const Answer& answer) { return largest(answer.log_likelihoods); }

double metric_value(const MetricResult& result) {
  if (!result.weights.empty()) {
    const double mean =
        mean_of(result.items) / mean_of(result.weights);  // sum of nats over sum of units
    return result.name == "bits_per_byte" ? -mean / std::log(2.0) : std::exp(-mean);
  }
  const double mean = mean_of(result.items);
  return result.name == "perplexity" ? std::exp(-mean) : mean;
}

absl::StatusOr<TaskResult> score_answers(const TaskConfig& task,
                                         std::span<const Question> questions,
                                         std::span<const Answer> answers) {
  if (questions.empty() || questions.size() != answers.size())
    return base::internal("task '", task.name, "': ", questions.size(), " questions and ",
                          answers.size(), " answers");
  TaskResult all;
  for (const FilterConfig& filter : task.filters) {
    std::vector<std::string> texts;
    if (task.type == OutputType::kGenerateUntil) {
      FRUGAL_ASSIGN_OR_RETURN(texts, filter_texts(filter, answers));
    }
    for (const MetricConfig& metric : task.metrics) {
      MetricResult result{.name = metric.name,
                          .filter = filter.name,
                          .standard_error = {},
                          .higher_is_better = metric.higher_is_better,
                          .items = {},
                          .weights = {}};
      if (task.type != OutputType::kGenerateUntil) {
        FRUGAL_RETURN_IF_ERROR(score_likelihoods(task, questions, answers, result));
      } else {
        FRUGAL_ASSIGN_OR_RETURN(const Normalizer normalized, Normalizer::make(metric));
        for (size_t i = 0; i < questions.size(); ++i) {
          FRUGAL_ASSIGN_OR_RETURN(const double score,
                                  exact_match(normalized, texts[i], questions[i].references));
          result.items.push_back(score);
        }
      }
      aggregate(result);
      all.metrics.push_back(std::move(result));
    }
    if (task.type == OutputType::kGenerateUntil) all.filtered.push_back(std::move(texts));
  }
  return all;
}

Chance chance_of(std::span<const Question> questions, double accuracy) {
  constexpr size_t kExact = 1'000;
  std::vector<double> rates;
  double variance = 0.0;
  for (const Question& question : questions) {
    rates.push_back(static_cast<double>(question.right.size()) /
                    static_cast<double>(question.choices.size()));
    variance += rates.back() * (1.0 - rates.back());
  }
  Chance chance{.rate = mean_of(rates)};
  const double n = static_cast<double>(rates.size());
  const double right = std::round(accuracy * n);
  if (rates.size() > kExact) {
    chance.distinguishable = std::abs(right - chance.rate * n) > 1.959964 * std::sqrt(variance);
    return chance;
  }
  const std::vector<double> p = guess_distribution(rates);
  double below = 0.0, above = 0.0;  // counts as far out or further, on either side
  for (size_t k = 0; k < p.size(); ++k) {
    if (static_cast<double>(k) <= right) below += p[k];
    if (static_cast<double>(k) >= right) above += p[k];
  }
  chance.distinguishable = 2.0 * std::min(below, above) < 0.05;
  return chance;
}

std::vector<double> answer_log_likelihoods(std::span<const Question> questions,
                                           std::span<const Answer> answers) {
  std::vector<double> values;
  for (size_t i = 0; i < questions.size(); ++i) {
    if (questions[i].choices.empty()) {
      values.push_back(answers[i].log_likelihoods.front());
      continue;
    }
    if (questions[i].right.empty()) continue;
    double best = -std::numeric_limits<double>::infinity();
    for (const int64_t choice : questions[i].right)
      best = std::max(best, answers[i].log_likelihoods[static_cast<size_t>(choice)]);
    values.push_back(best);
  }
  return values;
}

}  // namespace frugal::tasks
