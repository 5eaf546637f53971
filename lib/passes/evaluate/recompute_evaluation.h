// Quality of an `evaluate` step from its items.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "pass/journal.h"

namespace frugal::passes {

// Percentiles of a divergence rest on single positions, and differences to a runtime on windows
// that are not kept: those are left out. A comparison needs the reference's items: those of the
// step of the same name that evaluated the reference in the same way. Errors: items that cannot be.
absl::StatusOr<pass::Recomputed> recompute_evaluation(const base::Json& run_start,
                                                      const std::vector<base::Json>& steps,
                                                      const base::Json& step,
                                                      const std::filesystem::path& run_folder);

}  // namespace frugal::passes
