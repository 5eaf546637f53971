#include "tasks/merged_task.h"

#include <algorithm>

#include "tasks/task_yaml.h"

namespace frugal::tasks {
namespace {

namespace fs = std::filesystem;
using base::Json;

constexpr size_t kMaxFiles = 16;

std::string place_of(const fs::path& file, int line) {
  return base::str_cat(file.filename().string(), ":", line);
}

absl::Status merge(const fs::path& file, const ReadFile& read, std::vector<fs::path>& open,
                   MergedTask& merged) {
  if (std::find(open.begin(), open.end(), file) != open.end())
    return base::invalid_argument(file.string(), ": includes itself");
  if (merged.files.size() == kMaxFiles)
    return base::resource_exhausted(file.string(), ": more than ", kMaxFiles,
                                    " files are included");
  merged.files.push_back(file);
  open.push_back(file);
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, read(file));
  FRUGAL_ASSIGN_OR_RETURN(TaskYaml yaml, parse_task_yaml(text, file.string()));
  if (yaml.value.contains("include")) {
    const Json include = yaml.value["include"];
    for (const Json& name : include.is_array() ? include : Json::array({include})) {
      if (!name.is_string() || name.get_ref<const std::string&>().empty())
        return base::invalid_argument(place_of(file, yaml.lines["include"]),
                                      ": include names a file, or a list of files");
      const fs::path other = (file.parent_path() / name.get<std::string>()).lexically_normal();
      FRUGAL_RETURN_IF_ERROR(merge(other, read, open, merged));
    }
    yaml.value.erase("include");
  }
  open.pop_back();
  // What is nearer to the task replaces a key with all that is below it.
  for (const auto& [key, value] : yaml.value.items()) {
    merged.places.erase(key);
    // What begins with "key.": '/' is the character behind '.'.
    merged.places.erase(merged.places.lower_bound(key + "."), merged.places.lower_bound(key + "/"));
    merged.value[key] = value;
  }
  for (const auto& [path, line] : yaml.lines) merged.places[path] = place_of(file, line);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<MergedTask> merge_includes(const fs::path& file, const ReadFile& read) {
  MergedTask merged;
  std::vector<fs::path> open;
  FRUGAL_RETURN_IF_ERROR(merge(file.lexically_normal(), read, open, merged));
  return merged;
}

}  // namespace frugal::tasks
