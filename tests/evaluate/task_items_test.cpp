#include "evaluate/task_items.h"

#include <gtest/gtest.h>

#include "support/shared_data.h"

namespace frugal::evaluate {
namespace {

using base::Json;
using tasks::Answer;
using tasks::Question;

tasks::TaskConfig config(tasks::OutputType type, std::vector<std::string> metrics) {
  tasks::TaskConfig task{.name = "t", .type = type};
  task.filters = {{"none", {tasks::FilterStep{}}}};
  for (std::string& name : metrics) task.metrics.push_back({.name = std::move(name)});
  return task;
}

std::vector<Json> items_of(const tasks::TaskConfig& task, const std::vector<Question>& questions,
                           const std::vector<Answer>& answers) {
  return task_items(task, questions, answers,
                    tasks::score_answers(task, questions, answers).value());
}

TEST(TaskItems, OfChoicesSayWhatWasChosen) {
  const auto task = config(tasks::OutputType::kMultipleChoice, {"acc", "acc_norm"});
  const std::vector<Question> questions = {
      {.id = "t/0", .continuations = {" a", " bbbb"}, .choices = {"a", "bbbb"}, .right = {1}}};
  const std::vector<Answer> answers = {
      {.log_likelihoods = {-1.0, -2.0}, .greedy = {true, false}, .text = ""}};
  const auto items = items_of(task, questions, answers);
  EXPECT_EQ(
      items.at(0).dump(),
      R"({"id":"t/0","metrics":{"acc":0.0,"acc_norm":1.0},"answer_log_likelihood":-2.0,)"
      R"("label":"bbbb","predicted":"a","right":false,"labels":["a","bbbb"],"scores":[-1.0,-2.0]})");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TaskScores scores, task_scores(items, "x"));
  ASSERT_EQ(scores.metrics.size(), 3u);
  EXPECT_EQ(scores.metrics[1].name, "acc_norm");
  EXPECT_EQ(scores.metrics[1].values, std::vector<double>{1.0});
  EXPECT_EQ(scores.metrics[2].name, kAnswerLogLikelihood);
  EXPECT_EQ(scores.ids, std::vector<std::string>{"t/0"});
}

TEST(TaskItems, OfTextsCarryTheirLengths) {
  const auto task = config(tasks::OutputType::kRolling, {"word_perplexity"});
  const std::vector<Question> questions = {{.id = "t/0", .continuations = {"two words"}}};
  const std::vector<Answer> answers = {{.log_likelihoods = {-3.0}, .greedy = {false}, .text = ""}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TaskScores scores,
                              task_scores(items_of(task, questions, answers), "x"));
  ASSERT_EQ(scores.metrics.size(), 1u);
  EXPECT_EQ(scores.metrics[0].values, std::vector<double>{-3.0});
  EXPECT_EQ(scores.metrics[0].weights, std::vector<double>{2.0});
}

TEST(TaskItems, OfAnswersHoldTheText) {
  auto task = config(tasks::OutputType::kGenerateUntil, {"exact_match"});
  task.filters[0].name = "strict";
  const std::vector<Question> questions = {{.id = "t/0", .references = {"3"}}};
  const std::vector<Answer> answers = {{.log_likelihoods = {}, .greedy = {}, .text = "3"}};
  EXPECT_EQ(
      items_of(task, questions, answers).at(0).dump(),
      R"({"id":"t/0","metrics":{"exact_match,strict":1.0},"generated":"3","references":["3"]})");
}

TEST(TaskItems, AreCheckedWhenTheyAreRead) {
  const auto refused = [](const Json& items, std::string_view why) {
    FRUGAL_EXPECT_ERROR(task_scores(items.get<std::vector<Json>>(), "x"),
                        absl::StatusCode::kInvalidArgument, std::string(why));
  };
  refused({{{"id", "a"}}}, "metrics");
  refused({{{"metrics", Json::object()}}}, "id");
  refused({{{"id", "a"}, {"metrics", {{"acc", "x"}}}}},
          "x: item 0: acc is \"x\", expected a number");
  refused({{{"id", "a"}, {"metrics", {{"acc", 1}}}}, {{"id", "b"}, {"metrics", Json::object()}}},
          "acc");
  const auto item = [](const Json& value) {
    return Json{{"id", "a"}, {"metrics", {{"bits", value}}}};
  };
  const Json plain = item(1), weighted = item(Json::array({1, 2}));
  refused({plain, weighted}, "x: item 1: bits is [1,2], expected a number");
  refused({weighted, plain}, "x: item 1: bits is 1, expected a value and its weight");
}

}  // namespace
}  // namespace frugal::evaluate
