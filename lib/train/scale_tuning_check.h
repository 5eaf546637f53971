// What must hold before scales are tuned. Internal.
#pragma once

#include "base/status.h"
#include "train/scale_tuning.h"

namespace frugal::train {

// Errors: sizes, models, matrices or text that do not fit; a window for choosing that is trained
// on.
absl::Status check_scale_tuning(const model::Decoder& original, const model::Decoder& student,
                                const QuantizedMatrices& matrices, const text::Windows& tuning,
                                const text::Windows& validation, const ScaleTuningOptions& options);

}  // namespace frugal::train
