#include "tasks/inputs.h"

#include <cstdlib>

#include "tasks/golden.h"

namespace frugal::tasks {
namespace {

TEST(Inputs, AreAllFilesThatQuestionsDependOn) {
  text::DataSource source;
  source.task_file = (test::golden_tasks() / "choice.yaml").string();
  FRUGAL_ASSERT_OK(find_inputs(source));
  std::vector<std::string> names;
  for (const std::string& file : source.task_inputs)
    names.push_back(std::filesystem::path(file).filename().string());
  EXPECT_EQ(names, (std::vector<std::string>{"choice.yaml", "choice_base.yaml", "test.jsonl",
                                             "train.jsonl"}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TaskData task, load_task(source, 2, {}));
  EXPECT_EQ(task.questions.size(), 2u);
  EXPECT_EQ(task.shots, 3);
  source.limit = 1;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TaskData fewer, load_task(source, 2, 0));
  EXPECT_EQ(fewer.questions.size(), 1u);
  EXPECT_EQ(fewer.shots, 0);
  EXPECT_EQ(fewer.questions[0].context.find("Question: "),
            fewer.questions[0].context.rfind("Question: "));
  source.folder = "/nowhere";
  FRUGAL_EXPECT_ERROR(find_inputs(source), absl::StatusCode::kNotFound, "/nowhere/test.jsonl");
}

TEST(Inputs, AreFoundByName) {
  const auto share = test::golden_tasks();
  EXPECT_EQ(named_task("choice", share), share / "choice.yaml");
  EXPECT_TRUE(named_task("chioce", share).empty());
  EXPECT_TRUE(named_task("../tasks/choice", share).empty());
  const auto names = task_names(share);
  EXPECT_NE(std::find(names.begin(), names.end(), "pages"), names.end());
}

}  // namespace
}  // namespace frugal::tasks
