// The task files of tests/golden/tasks and what lm-evaluation-harness made of them (tasks.py
// there).
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "support/shared_data.h"
#include "tasks/metrics.h"
#include "tasks/questions.h"
#include "tasks/task_file.h"

namespace frugal::test {

inline std::filesystem::path golden_tasks() {
  const char* root = std::getenv("FRUGAL_SOURCE_DIR");
  return std::filesystem::path(root == nullptr ? "." : root) / "tests/golden/tasks";
}

struct GoldenTask {
  std::string file;
  tasks::TaskConfig config;
  std::vector<tasks::Question> questions;
  std::vector<tasks::Answer> answers;  // that lm-evaluation-harness was given
  base::Json expected;
};

inline tasks::Answer answer_of(const base::Json& responses) {
  tasks::Answer answer;
  for (const base::Json& response : responses) {
    const base::Json& first = response.at(0);
    if (first.is_string()) {
      answer.text = first.get<std::string>();
    } else if (first.is_number()) {
      answer.log_likelihoods.push_back(first.get<double>());
      answer.greedy.push_back(false);
    } else {
      answer.log_likelihoods.push_back(first.at(0).get<double>());
      answer.greedy.push_back(first.at(1).get<bool>());
    }
  }
  return answer;
}

// One for each task file, with its questions made and the answers of the file.
inline absl::StatusOr<std::vector<GoldenTask>> load_golden() {
  FRUGAL_ASSIGN_OR_RETURN(const base::Json all, base::read_json(golden_tasks() / "expected.json"));
  std::vector<GoldenTask> result;
  for (const auto& [file, expected] : all.at("tasks").items()) {
    GoldenTask task{
        .file = file, .config = {}, .questions = {}, .answers = {}, .expected = expected};
    FRUGAL_ASSIGN_OR_RETURN(task.config, tasks::read_task(golden_tasks() / file));
    FRUGAL_ASSIGN_OR_RETURN(task.questions, tasks::make_questions(task.config, {}));
    const std::string filter = task.config.filters.front().name;
    for (const base::Json& sample : expected.at("samples")) {
      if (sample.at("filter") == filter) task.answers.push_back(answer_of(sample.at("resps")));
    }
    result.push_back(std::move(task));
  }
  return result;
}

}  // namespace frugal::test
