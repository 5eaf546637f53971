// The files of a run by their hashes, and those drawn from its journal. Internal to the room.
#pragma once

#include "report/report.h"
#include "report/verify.h"

namespace frugal::report {

// Errors: interrupted.
absl::Status verify_files(const std::filesystem::path& run_folder, const JournalView& journal,
                          Verification* out);

}  // namespace frugal::report
