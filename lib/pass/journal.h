// The journal of a run (README.md): JSON lines, flushed one by one.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "pass/pass.h"

namespace frugal::pass {

class Journal {
 public:
  // Continues the file; a line that a kill tore is cut off. `listener` also sees each event (for
  // --json).
  static absl::StatusOr<Journal> open(const std::filesystem::path& path,
                                      std::function<void(const std::string&)> listener);
  // Writes {"event": event, "time": now, …fields}.
  absl::Status write(std::string_view event, const base::Json& fields);

 private:
  Journal(base::AppendFile file, std::function<void(const std::string&)> listener)
      : file_(std::move(file)), listener_(std::move(listener)) {}
  base::AppendFile file_;
  std::function<void(const std::string&)> listener_;
};

// The events of the latest run in a journal: from its last run_start on. A torn last line is left
// out. Errors: no such file, a line that is no JSON object, no run_start.
absl::StatusOr<std::vector<base::Json>> read_latest_run(const std::filesystem::path& journal);

base::Json to_json(const Statistic& statistic);

// Now, ISO 8601 in UTC, milliseconds.
std::string utc_now();

}  // namespace frugal::pass
