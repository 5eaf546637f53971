// Whether a run is what its journal says: everything that can be computed again is, and compared.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"
#include "pass/journal.h"

namespace frugal::report {

struct Verification {
  int64_t lines = 0;                   // of the journal whose links are right
  int64_t windows = 0;                 // energy windows whose joules follow from their raw readings
  int64_t statistics = 0;              // that follow from the items or windows they rest on
  int64_t reported = 0;                // that rest on nothing kept: as their passes reported them
  int64_t comparisons = 0;             // of two models, from the items of both
  int64_t files = 0;                   // that have the bytes their hashes are of
  int64_t drawings = 0;                // drawn again from the journal, byte for byte
  std::vector<std::string> problems;   // what differs, with its place; empty: verified
  std::vector<std::string> unchecked;  // what there was to check and could not be, and why
};

// - The journal's lines by their links, energy windows (of steps, of idle, and those that measure
//   keeps beside the journal) from their raw counter readings, statistics by `recompute`.
// - Files by SHA-256: the pipeline, factors (also the numbers in them), items, checkpoints,
//   artifacts, and that there are no others in their folders.
// - What is drawn from the journal (report, cards, exports), drawn again, and SHA256SUMS. What this
//   version draws otherwise, and has stood unchanged since it was drawn, is unchecked, no problem.
// What the version that ran did not record is unchecked. Reads only. Errors: no run; interrupted.
absl::StatusOr<Verification> verify_run(const std::filesystem::path& run_folder,
                                        const pass::Recompute& recompute = {});

}  // namespace frugal::report
