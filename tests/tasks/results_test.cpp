#include "tasks/results.h"

#include "tasks/golden.h"

namespace frugal::tasks {
namespace {

using base::Json;

// The hashes are those of lm-evaluation-harness, so its tools find the same documents.
TEST(Results, SamplesHaveItsShapeAndHashes) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto golden, test::load_golden());
  for (const test::GoldenTask& task : golden) {
    SCOPED_TRACE(task.file);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const TaskResult result,
                                score_answers(task.config, task.questions, task.answers));
    const auto lines = sample_lines({.task = &task.config,
                                     .questions = task.questions,
                                     .answers = task.answers,
                                     .result = &result});
    ASSERT_EQ(lines.size(), task.expected.at("samples").size());
    for (const Json& sample : task.expected.at("samples")) {
      const auto line = std::find_if(lines.begin(), lines.end(), [&](const Json& own) {
        return own.at("doc_id") == sample.at("doc_id") && own.at("filter") == sample.at("filter");
      });
      ASSERT_NE(line, lines.end());
      for (const auto& [key, value] : sample.items()) {
        EXPECT_TRUE(line->contains(key)) << key;
        const bool same = key.ends_with("_hash") || key == "metrics";
        EXPECT_TRUE(!same || line->at(key) == value) << key;
      }
      for (const Json& metric : sample.at("metrics")) {
        const std::string name = metric.get<std::string>();
        EXPECT_EQ(line->at(name), sample.at(name)) << name;
      }
      if (task.config.type == OutputType::kGenerateUntil) {
        EXPECT_EQ(line->at("filtered_resps"), sample.at("filtered_resps"));
      }
    }
  }
}

TEST(Results, HaveItsKeys) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto golden, test::load_golden());
  for (const test::GoldenTask& task : golden) {
    SCOPED_TRACE(task.file);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const TaskResult result,
                                score_answers(task.config, task.questions, task.answers));
    const EvaluatedTask evaluated{.task = &task.config,
                                  .questions = task.questions,
                                  .answers = task.answers,
                                  .result = &result,
                                  .shots = task.config.fewshot.count};
    const Json made = results_json(std::span(&evaluated, 1));
    const std::string& name = task.config.name;
    for (const auto& [key, value] : task.expected.at("results").items()) {
      ASSERT_TRUE(made.at("results").at(name).contains(key)) << key;
      EXPECT_TRUE(!value.is_string() || made.at("results").at(name).at(key) == value) << key;
    }
    EXPECT_EQ(made.at("versions").at(name), task.expected.at("version"));
    EXPECT_EQ(made.at("n-shot").at(name), task.expected.at("n-shot"));
    EXPECT_EQ(made.at("configs").at(name).at("task"), name);
  }
}

}  // namespace
}  // namespace frugal::tasks
