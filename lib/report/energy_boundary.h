// What the joules of measure steps are of: functional unit, what is inside and outside, shares,
// idle power, the state of the devices. Internal to the room.
#pragma once

#include "base/json.h"
#include "report/report.h"

namespace frugal::report {

// {finding, description, boundaries [{functional_unit, reference_flow, software_boundary, inside
// [text], outside [text], steps [name]}], rows [{source, engine, accelerator, host, whole_machine,
// idle: numbers}], idle [{source, when, meter, watts: number}], conditions [{source, meter, told
// [text], not_told [text]}]}: the tables `boundary`, `idle` and `conditions` of the journal, those
// that are alike once. Null where no step has them.
base::Json energy_boundary_figure(const JournalView& journal);

}  // namespace frugal::report
