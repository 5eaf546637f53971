// Room on the disk of the cache, asked for before work begins. Internal to this room.
#pragma once

#include "base/status.h"
#include "pass/cache.h"
#include "pass/plan.h"

namespace frugal::pass {

// Before anything runs: what the first steps make must not leave the last one without room. Errors:
// ResourceExhausted naming what is needed and what is there.
absl::Status check_room_for(const Plan& plan, const Cache& cache);

// The same of one step, which may need a tenth more than it forecasts.
absl::Status check_room_for(const Unit& unit, const Cache& cache);

}  // namespace frugal::pass
