// What the pipeline declared to show, and how its metric counts. Internal to the room.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "report/report.h"

namespace frugal::report {

// The claim of the pipeline, null where it declares none; valid as long as `journal`.
const base::Json* claim_of(const JournalView& journal);

// The model that others are compared with; empty where none is named.
std::string baseline_of(const JournalView& journal);

// Whether a metric is a share of items, whose differences are points.
bool is_share(std::string_view metric);

// The number of an architecture that its energy is told by.
inline constexpr std::string_view kEnergy = "joules_per_million_tokens";
inline constexpr std::string_view kResponseEnergy = "joules_per_request";

}  // namespace frugal::report
