// Numbers of report.json as figures of energy and back. Internal to the room.
#pragma once

#include "base/json.h"
#include "energy/provenance.h"

namespace frugal::report {

// A number of the report as a figure in `unit`.
energy::Figure figure_of(const base::Json& number, const char* unit);
base::Json number_from(const energy::Figure& figure);

// Of two numbers in joules; unknown, with the reason, where one is.
base::Json energy_sum(const base::Json& a, const base::Json& b);

}  // namespace frugal::report
