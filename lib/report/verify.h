// Whether a run is what its journal says: everything that can be computed again is, and compared.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"

namespace frugal::report {

struct Verification {
  int64_t windows = 0;   // energy windows whose joules follow from their raw readings
  int64_t files = 0;     // artifacts that have the bytes their hashes are of
  int64_t drawings = 0;  // of report.json, report.csv, report.html: drawn again, byte for byte
  std::vector<std::string> problems;   // what differs, with its place; empty: verified
  std::vector<std::string> unchecked;  // what there was to check and could not be, and why
};

// Energy windows (of steps, of idle, and those that measure keeps beside the journal) from their
// raw counter readings; artifacts by SHA-256; report.json, .csv and .html from the journal, whose
// hash report.json carries, so that a changed bit of either is found. Reads only. Errors: no run,
// no journal that can be read.
absl::StatusOr<Verification> verify_run(const std::filesystem::path& run_folder);

}  // namespace frugal::report
