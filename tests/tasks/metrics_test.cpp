#include "tasks/metrics.h"

#include <cmath>

#include "tasks/golden.h"

namespace frugal::tasks {
namespace {

using base::Json;

// Values are sums of the same numbers in the same order; what is left is the last bit.
constexpr double kRelative = 1e-12;

// Every metric of every filter with its standard error, and what filters make of the answers.
TEST(Metrics, AreThoseOfLmEvaluationHarness) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto golden, test::load_golden());
  for (const test::GoldenTask& task : golden) {
    SCOPED_TRACE(task.file);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const TaskResult result,
                                score_answers(task.config, task.questions, task.answers));
    const Json& expected = task.expected.at("results");
    size_t compared = 3;  // name, alias, sample_len
    for (const MetricResult& metric : result.metrics) {
      SCOPED_TRACE(metric.name + "," + metric.filter);
      const double value = expected.at(metric.name + "," + metric.filter).get<double>();
      EXPECT_NEAR(metric.value, value, kRelative * std::abs(value));
      const Json& error = expected.at(metric.name + "_stderr," + metric.filter);
      ASSERT_EQ(metric.standard_error.has_value(), error.is_number());
      if (error.is_number()) {
        EXPECT_NEAR(*metric.standard_error, error.get<double>(), kRelative * error.get<double>());
      }
      EXPECT_EQ(task.expected.at("higher_is_better").at(metric.name), metric.higher_is_better);
      compared += 2;
    }
    EXPECT_EQ(compared, expected.size());
  }
}

Question question(std::vector<std::string> choices, std::vector<int64_t> right) {
  Question result;
  result.choices = result.continuations = std::move(choices);
  result.right = std::move(right);
  return result;
}

TaskConfig choice_task() {
  TaskConfig task{.name = "t", .type = OutputType::kMultipleChoice};
  task.filters = {{"none", {FilterStep{}}}};
  for (const char* name : {"acc", "acc_norm", "acc_bytes"})
    task.metrics.push_back({.name = name, .higher_is_better = true});
  return task;
}

// "éé" has two characters and four bytes, so each metric prefers another choice.
TEST(Metrics, DivideByCharactersOrBytes) {
  const std::vector<Question> questions = {question({"a", "éé", "aaaaaaaa"}, {0})};
  const std::vector<Answer> answers = {
      {.log_likelihoods = {-4.0, -6.0, -28.0}, .greedy = {false, false, false}, .text = ""}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TaskResult result,
                              score_answers(choice_task(), questions, answers));
  EXPECT_EQ(result.metrics[0].value, 1.0);                     // -4
  EXPECT_EQ(result.metrics[1].value, 0.0);                     // -3 for each character of "éé"
  EXPECT_EQ(result.metrics[2].value, 0.0);                     // -1.5 for each byte of "éé"
  EXPECT_FALSE(result.metrics[0].standard_error.has_value());  // of one question
}

TEST(Metrics, TheFirstOfEqualChoicesWins) {
  EXPECT_EQ(best_choice({.log_likelihoods = {-2.0, -1.0, -1.0}, .greedy = {}, .text = ""}), 1u);
}

// Twenty questions of four choices: P(X >= 10) = 0.0139 and P(X >= 9) = 0.0409 for Binomial(20,
// 1/4).
TEST(Metrics, TellAccuracyFromChance) {
  const std::vector<Question> questions(20, question({"a", "b", "c", "d"}, {1}));
  EXPECT_EQ(chance_of(questions, 0.5).rate, 0.25);
  EXPECT_TRUE(chance_of(questions, 0.5).distinguishable);
  EXPECT_FALSE(chance_of(questions, 0.45).distinguishable);
  EXPECT_FALSE(chance_of(questions, 0.25).distinguishable);
  EXPECT_TRUE(chance_of(questions, 0.0).distinguishable);  // P(X = 0) = 0.0032: worse than guessing
  // sd = sqrt(2000 * 3 / 16) = 19.4: 37 more than 500 is within 1.96 of it, 38 is not.
  const std::vector<Question> many(2000, questions[0]);
  EXPECT_FALSE(chance_of(many, 537.0 / 2000).distinguishable);
  EXPECT_TRUE(chance_of(many, 538.0 / 2000).distinguishable);
}

TEST(Metrics, GiveTheLikelihoodOfTheRightAnswer) {
  const std::vector<Question> questions = {question({"a", "b"}, {1}), question({"a"}, {})};
  const std::vector<Answer> answers = {{.log_likelihoods = {-1.0, -2.5}, .greedy = {}, .text = ""},
                                       {.log_likelihoods = {-9.0}, .greedy = {}, .text = ""}};
  EXPECT_EQ(answer_log_likelihoods(questions, answers), std::vector<double>{-2.5});
}

TEST(Metrics, RefuseAnswersOfOtherQuestions) {
  const std::vector<Question> questions = {question({"a", "b"}, {1})};
  FRUGAL_EXPECT_ERROR(score_answers(choice_task(), questions, std::vector<Answer>(2)),
                      absl::StatusCode::kInternal, "1 questions and 2 answers");
  FRUGAL_EXPECT_ERROR(score_answers(choice_task(), questions, std::vector<Answer>(1)),
                      absl::StatusCode::kInternal, "has 2 continuations, its answer 0");
}

}  // namespace
}  // namespace frugal::tasks
