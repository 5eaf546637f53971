// The forward's rotary frequencies for exporters. Internal to export.
#pragma once

#include <vector>

#include "format/model_config.h"

namespace frugal::artifact {

// Angle per position of each channel pair, [D / 2]: exactly the numbers that frugal's own forward
// uses.
std::vector<float> rotary_frequencies(const format::ModelConfig& config);

}  // namespace frugal::artifact
