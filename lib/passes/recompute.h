// Numbers of finished steps from the items that they kept: the other side of what `evaluate` and
// `measure` do when they end. Free of LibTorch arithmetic.
#pragma once

#include <filesystem>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "pass/journal.h"

namespace frugal::passes {

// A pass::Recompute. Nothing for passes that keep no items. Errors: DataLoss.
absl::StatusOr<pass::Recomputed> recompute(const base::Json& run_start,
                                           const std::vector<base::Json>& steps,
                                           const base::Json& step,
                                           const std::filesystem::path& run_folder);

}  // namespace frugal::passes
