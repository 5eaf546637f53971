// A quantization from the calibration text to the written checkpoint.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "pass/pass.h"
#include "passes/quantize/options.h"

namespace frugal::passes {

// `version` is the pass's: what an interrupted run of another one left is not taken up. Errors:
// those of loading, walking, rounding and tuning; a gate that is not met; interruption.
absl::Status run_quantization(pass::RunContext& context, const QuantizeSettings& settings,
                              int64_t version);

}  // namespace frugal::passes
