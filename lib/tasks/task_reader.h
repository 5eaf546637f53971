// Values of a task file by their keys: their kinds are checked, and what is wrong is remembered
// with its place.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "tasks/merged_task.h"

namespace frugal::tasks {

class TaskReader {
 public:
  // `merged` must outlive it.
  explicit TaskReader(const MergedTask& merged) : merged_(merged) {}

  // `path` of the key that is complained of; unknown ones stand in the task file itself.
  template <typename... Parts>
  void complain(std::string_view path, const Parts&... parts) {
    if (problems_.size() == kMaxProblems) return;
    const auto place = merged_.places.find(path);
    problems_.push_back(base::str_cat(
        place == merged_.places.end() ? merged_.files.front().filename().string() : place->second,
        ": ", parts...));
  }
  // InvalidArgument with one line for each problem.
  absl::Status status() const {
    return problems_.empty() ? absl::OkStatus()
                             : base::invalid_argument(base::join(problems_, "\n"));
  }

  // Null where absent.
  static const base::Json& get(const base::Json& map, std::string_view key) {
    static const base::Json kNone;
    const auto found = map.find(std::string(key));
    return found == map.end() ? kNone : *found;
  }

  // Below: of the key `key` of `map`, which stands at the path `prefix`; `fallback` where it is
  // absent or wrong.
  std::string text(const base::Json& map, std::string_view prefix, std::string_view key,
                   std::string fallback = "");
  bool truth(const base::Json& map, std::string_view prefix, std::string_view key, bool fallback);
  int64_t integer(const base::Json& map, std::string_view prefix, std::string_view key,
                  int64_t fallback, int64_t least, int64_t most);
  std::vector<std::string> texts(const base::Json& map, std::string_view prefix,
                                 std::string_view key);
  // Of a doc_to_* field: text, a number where `number`, a list or mapping of texts where `list`.
  Field field(const base::Json& map, std::string_view prefix, std::string_view key, bool number,
              bool list);
  // Complains of keys that are none of `keys`.
  void only(const base::Json& map, std::string_view prefix, const std::vector<std::string>& keys);
  bool is_map(const base::Json& value, std::string_view at, std::string_view what);

  static std::string path(std::string_view prefix, std::string_view key) {
    return prefix.empty() ? std::string(key) : base::str_cat(prefix, ".", key);
  }

 private:
  static constexpr size_t kMaxProblems = 20;  // that are reported
  const MergedTask& merged_;
  std::vector<std::string> problems_;
};

}  // namespace frugal::tasks
