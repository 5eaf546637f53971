// What follows the walk of a quantization: scales tuned end to end, and the gate on the whole
// model.
#pragma once

#include <ATen/core/Tensor.h>

#include "base/status.h"
#include "layerwise/walk/calibration.h"
#include "pass/pass.h"
#include "passes/quantize/options.h"
#include "train/scale_tuning.h"

namespace frugal::passes {

// Tunes the scales of `matrices` where the options ask for it, and measures
// KL(original || quantized) on the held-out windows where max_kl does and inputs are not rounded.
// Errors: those of tuning; a divergence above max_kl.
absl::Status tune_end_to_end(pass::RunContext& context, const QuantizeSettings& settings,
                             const layerwise::CalibrationSplit& split, const at::Device& device,
                             train::QuantizedMatrices& matrices);

// The gate max_kl on a model whose inputs are rounded, too: of the checkpoint as it is written,
// since its integers are what every forward multiplies. Errors: loading; a divergence above max_kl.
absl::Status check_integer_model(pass::RunContext& context, const QuantizeSettings& settings,
                                 const text::Windows& held_out, const at::Device& device);

}  // namespace frugal::passes
