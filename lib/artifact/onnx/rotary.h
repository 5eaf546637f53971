// The forward's rotary frequencies for exporters. Internal to export.
#pragma once

#include <vector>

#include "architecture/model_config.h"

namespace frugal::artifact {

// Angle per position of each channel pair, [D / 2]: exactly the numbers that frugal's own forward
// uses.
std::vector<float> rotary_frequencies(const architecture::Rope& rope, int64_t head_size);

}  // namespace frugal::artifact
