// What the result of a unit depends on, as the key of the cache. Internal to this room.
#pragma once

#include <string>

#include "pass/plan.h"

namespace frugal::pass {

// The kind of device, the program that computes where it is not frugal, and what the precisions in
// the unit's options come to on it; "" where the result depends on neither.
std::string arithmetic_of(const Unit& unit, const PlanOptions& options);

// The key of a unit whose arithmetic is set; "" while an input is not hashed.
std::string key_of(const Unit& unit, const Plan& plan);

}  // namespace frugal::pass
