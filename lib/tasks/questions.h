// What a task asks a model: contexts and continuations, as lm-evaluation-harness builds them, with
// description and examples in front.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "tasks/task_file.h"

namespace frugal::tasks {

struct Question {
  std::string id;       // "hellaswag/validation/17"
  int64_t number = 0;   // of the document in its split
  base::Json document;  // with what a preprocessing added
  base::Json target;    // doc_to_target of it
  std::string context;  // empty of loglikelihood_rolling
  // What is scored behind the context: one of each choice, the target, or the whole text
  // (loglikelihood_rolling); none of generate_until.
  std::vector<std::string> continuations;
  std::vector<std::string> choices;     // multiple_choice: without the delimiter
  std::vector<int64_t> right;           // multiple_choice: right choices; may be none
  std::vector<std::string> references;  // generate_until: right answers
};

struct QuestionOptions {
  std::filesystem::path folder;  // of documents (document_files)
  int64_t limit = 0;             // the first documents; 0: all
  std::optional<int64_t> shots;  // in the place of num_fewshot
};

// One for each document of the evaluated split. Errors: those of documents and templates, with the
// question's id; more examples than there are; an answer that is no text.
absl::StatusOr<std::vector<Question>> make_questions(const TaskConfig& task,
                                                     const QuestionOptions& options);

}  // namespace frugal::tasks
