// The journal of a run (README.md): JSON lines, flushed one by one.
//
// Each line ends with its link, `"chain":"<SHA-256>"}`: of the link of the line before (nothing
// where there is none) and of all that stands before its own. So a changed bit of any line is found
// in the journal alone, whatever else was drawn from it.
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
  Journal(base::AppendFile file, std::string link, std::function<void(const std::string&)> listener)
      : file_(std::move(file)), link_(std::move(link)), listener_(std::move(listener)) {}
  base::AppendFile file_;
  std::string link_;  // of the last line
  std::function<void(const std::string&)> listener_;
};

struct ChainCheck {
  int64_t linked = 0;                 // lines whose link is right
  int64_t unlinked = 0;               // lines of runs that have no links, as earlier versions wrote
  std::vector<std::string> problems;  // lines, by their numbers
};
// The whole text of a journal, earlier runs of it, too. A torn last line is left out.
ChainCheck check_chain(std::string_view journal);

// Numbers of a step as they come out when they are computed again from what it kept.
struct Recomputed {
  std::vector<base::Json> statistics;     // of those fields that can be, and the name
  std::vector<base::Json> comparisons;    // rows of the table `comparison`, likewise
  std::vector<std::string> not_computed;  // what was kept and could not be used, and why
};
// `steps`: the records of the run, `step` one of them. Errors: DataLoss, items that cannot be.
using Recompute = std::function<absl::StatusOr<Recomputed>(
    const base::Json& run_start, const std::vector<base::Json>& steps, const base::Json& step,
    const std::filesystem::path& run_folder)>;

// The events of the latest run in a journal: from its last run_start on. A torn last line is left
// out. Errors: no such file, a line that is no JSON object, no run_start.
absl::StatusOr<std::vector<base::Json>> read_latest_run(const std::filesystem::path& journal);

base::Json to_json(const Statistic& statistic);

// Now, ISO 8601 in UTC, milliseconds.
std::string utc_now();

}  // namespace frugal::pass
