// Options of every pass that runs a layer walk over calibration text.
#pragma once

#include "layerwise/calibration.h"
#include "pass/options.h"

namespace frugal::passes {

// `windows`, `sequence_length` and `calibration_precision`.
void visit_windows(pass::OptionVisitor& visitor, layerwise::CalibrationOptions& options);

}  // namespace frugal::passes
