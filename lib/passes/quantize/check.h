// What must hold before a quantization runs, and what it makes of the model.
#pragma once

#include "base/status.h"
#include "pass/pass.h"
#include "passes/quantize/options.h"

namespace frugal::passes {

// Errors: options that contradict each other, the model or its text. `model` becomes the result:
// its grids, zeros, activations and bytes. Gives the estimate, and warns of what is lost.
absl::Status check_quantization(const QuantizeSettings& settings, pass::CheckContext& context,
                                pass::ModelInfo& model);

}  // namespace frugal::passes
