// What the joules of a measure step are of: the boundary in the words of ITU-T L.1801 and of SCI
// for AI, what the machine drew at rest before and after, and in which state its devices were.
#pragma once

#include <vector>

#include "base/json.h"
#include "passes/measure/speed.h"

namespace frugal::passes {

// The row of the table `boundary`: {functional_unit, reference_flow (what one unit is),
// software_boundary, inside [{meter, scope, part ("accelerator", "host", "whole_machine"),
// whole_device, provenance}], outside [text], joules, shares {accelerator, host, whole_machine},
// idle_share, overhead, provenance, marks}. Shares are of the gross joules of all windows of the
// model; null where a part has no meter, or counts no idle power, or a reading is unknown.
base::Json boundary_row(const Measured& measured);

// Rows of the table `idle`: {when ("before", "after"), meter, seconds, joules, watts, provenance,
// reason}; of meters that count a whole device. None where there is no such meter.
std::vector<base::Json> idle_rows(const Measured& measured);

// Rows of the table `conditions`, one for each meter: {meter, scope, <condition> {low, high} over
// the beginnings and ends of all windows, the reference's, too, not_told [condition]}.
std::vector<base::Json> condition_rows(const Measured& measured);

}  // namespace frugal::passes
