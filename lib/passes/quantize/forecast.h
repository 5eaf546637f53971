// Time and memory of a quantization before it runs.
#pragma once

#include <cstdint>
#include <vector>

#include "architecture/model_config.h"
#include "base/status.h"
#include "layerwise/walk/calibration.h"
#include "pass/pass.h"
#include "passes/quantize/options.h"
#include "passes/quantize/plan.h"

namespace frugal::passes {

int64_t element_count(const PlannedTensor& tensor);
// Of all tensors of a plan; those that are kept have `element_bytes` an element.
int64_t planned_bytes(const std::vector<PlannedTensor>& plan, int64_t element_bytes);

// `calibration`: the windows for the statistics, empty without text; those held out come on top.
// `output_bytes` is handed through. Errors: those of layerwise::walk_memory.
absl::StatusOr<pass::Estimate> forecast(const QuantizeSettings& settings,
                                        const std::vector<PlannedTensor>& plan,
                                        const architecture::ModelConfig& config,
                                        const layerwise::CalibrationPlan& calibration,
                                        int64_t output_bytes, const at::Device& device);

}  // namespace frugal::passes
