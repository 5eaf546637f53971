// A task file with the files that it includes in it, and where each key stands.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "tasks/task_file.h"

namespace frugal::tasks {

struct MergedTask {
  base::Json value = base::Json::object();
  std::map<std::string, std::string, std::less<>> places;  // key path -> "file:line"
  std::vector<std::filesystem::path> files;                // the task file first
};

// What is nearer to the task replaces a key with all that is below it. Errors: those of `read` and
// of parse_task_yaml; a file that includes itself; more than 16 files.
absl::StatusOr<MergedTask> merge_includes(const std::filesystem::path& file, const ReadFile& read);

}  // namespace frugal::tasks
