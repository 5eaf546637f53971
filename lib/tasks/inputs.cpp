#include "tasks/inputs.h"

#include <algorithm>
#include <cstdlib>

#include "tasks/documents.h"

namespace frugal::tasks {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> task_folders(const fs::path& share) {
  std::vector<fs::path> folders;
  const char* own = std::getenv("FRUGAL_TASKS");
  if (own != nullptr && *own != '\0') folders.emplace_back(own);
  if (!share.empty()) folders.push_back(share);
  return folders;
}

}  // namespace

absl::Status find_inputs(text::DataSource& source) {
  FRUGAL_ASSIGN_OR_RETURN(const TaskConfig task, read_task(source.task_file));
  FRUGAL_ASSIGN_OR_RETURN(const auto documents, document_files(task, source.folder));
  source.task_inputs.clear();
  for (const fs::path& file : task.files) source.task_inputs.push_back(file.string());
  for (const fs::path& file : documents) source.task_inputs.push_back(file.string());
  return absl::OkStatus();
}

absl::StatusOr<TaskData> load_task(const text::DataSource& source, int64_t limit,
                                   std::optional<int64_t> shots) {
  TaskData data;
  FRUGAL_ASSIGN_OR_RETURN(data.config, read_task(source.task_file));
  if (source.limit > 0) limit = limit > 0 ? std::min(limit, source.limit) : source.limit;
  data.shots = shots.value_or(data.config.fewshot.count);
  FRUGAL_ASSIGN_OR_RETURN(
      data.questions,
      make_questions(data.config, {.folder = source.folder, .limit = limit, .shots = shots}));
  return data;
}

fs::path named_task(const std::string& name, const fs::path& share) {
  if (name.find('/') != std::string::npos) return {};
  for (const fs::path& folder : task_folders(share)) {
    const fs::path file = folder / (name + ".yaml");
    std::error_code error;
    if (fs::is_regular_file(file, error)) return file;
  }
  return {};
}

std::vector<std::string> task_names(const fs::path& share) {
  std::vector<std::string> names;
  for (const fs::path& folder : task_folders(share)) {
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
      if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace frugal::tasks
