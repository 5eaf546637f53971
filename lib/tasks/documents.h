// The documents of a task: JSON lines, JSON arrays or tables, by split.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "tasks/task_file.h"

namespace frugal::tasks {

using Columns = std::set<std::string, std::less<>>;

struct Documents {
  std::vector<base::Json> rows;  // objects
  Columns columns;               // of any of them
};

// The files of `split`. `folder`: where relative names are looked for; empty: beside the task file.
// A task whose dataset_path is the name of a published data set finds it there as
// [dataset_name/]<split>.jsonl, .json, .csv or .tsv, also with .gz behind it. Errors: none there,
// with how to get it.
absl::StatusOr<std::vector<std::filesystem::path>> document_files(
    const TaskConfig& task, std::string_view split, const std::filesystem::path& folder);

// The split that examples are drawn from where the task lists no samples: its own, else that of
// training, of validation, of the evaluation itself.
const std::string& example_split(const TaskConfig& task);

// All files that an evaluation of the task may read documents from, each once: those of its
// examples, too, where they are there. Errors: the evaluated documents are not, or the examples
// that it asks for.
absl::StatusOr<std::vector<std::filesystem::path>> document_files(
    const TaskConfig& task, const std::filesystem::path& folder);

// Numbers of a table's column are numbers where all of it are whole ones; what else a table holds
// is text. Preprocessed where the task says so. Errors: those of the files; no documents; a
// document that the preprocessing does not fit, with its place.
absl::StatusOr<Documents> load_documents(const TaskConfig& task, std::string_view split,
                                         const std::filesystem::path& folder);

}  // namespace frugal::tasks
