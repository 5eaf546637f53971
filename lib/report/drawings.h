// The files that are drawn from a journal, as texts. Internal to the room.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "report/report.h"

namespace frugal::report {

struct Drawing {
  std::string path;  // below the run folder
  std::string text;
};

// report.json, report.csv, report.html, and the model cards. Errors: those of summarize.
absl::StatusOr<std::vector<Drawing>> draw(const JournalView& journal);

// The run folder's SHA256SUMS, as `sha256sum -c` reads it: the journal, every file that it vouches
// for, and `drawn`.
inline constexpr const char* kSums = "SHA256SUMS";
std::string checksums(const JournalView& journal, const std::vector<Drawing>& drawn);
// By path. Errors: DataLoss, a line that is no hash and path.
absl::StatusOr<std::map<std::string, std::string>> read_checksums(std::string_view text);

// Writes SHA256SUMS for what is drawn and stands in the folder.
absl::Status write_checksums(const std::filesystem::path& run_folder, const JournalView& journal,
                             const std::vector<Drawing>& drawn);

}  // namespace frugal::report
