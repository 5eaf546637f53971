// Task files as data of a pipeline.
#pragma once

#include <filesystem>
#include <string>

#include "base/status.h"
#include "tasks/questions.h"
#include "tasks/task_file.h"
#include "text/dataset.h"

namespace frugal::tasks {

// Fills `task_inputs` of a source with a `task_file`: all files that its questions depend on.
// Errors: those of the task file, and documents that are not there.
absl::Status find_inputs(text::DataSource& source);

// The task of a source, and its questions: of the first `limit` documents (0: all), and no more
// than the source's own limit; with `shots` examples in the place of the task's own where given.
struct TaskData {
  TaskConfig config;
  std::vector<Question> questions;
  int64_t shots = 0;
};
absl::StatusOr<TaskData> load_task(const text::DataSource& source, int64_t limit,
                                   std::optional<int64_t> shots);

// The file of a task that is named by itself ("hellaswag"): one of the folder that FRUGAL_TASKS
// names, or of `share`. Empty: there is none of that name.
std::filesystem::path named_task(const std::string& name, const std::filesystem::path& share);
// Names that named_task knows.
std::vector<std::string> task_names(const std::filesystem::path& share);

}  // namespace frugal::tasks
