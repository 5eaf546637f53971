// Joules and speeds of a `measure` step from its energy windows and the table `speed`.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/json.h"
#include "base/status.h"
#include "pass/journal.h"

namespace frugal::passes {

// Percentiles of durations rest on single runs and steps, which are not kept: those are left out.
// Errors: windows or rows that cannot be, or do not fit each other.
absl::StatusOr<pass::Recomputed> recompute_speed(uint64_t seed, const base::Json& step,
                                                 const std::filesystem::path& run_folder);

}  // namespace frugal::passes
