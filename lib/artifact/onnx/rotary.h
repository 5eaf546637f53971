// The forward's rotary frequencies for exporters. Internal to export.
#pragma once

#include <cstdint>
#include <vector>

#include "architecture/model_config.h"

namespace frugal::artifact {

// How the heads of a layer turn; layers of one kind share it.
struct Rotation {
  architecture::Rope rope;
  int64_t head_size = 0;
  bool operator==(const Rotation&) const = default;
};
Rotation rotation_of(const architecture::ModelConfig& config, int64_t layer);
// The different ones, in the order of their first layers.
std::vector<Rotation> rotations(const architecture::ModelConfig& config);

// Angle per position of each channel pair, [D / 2]: exactly the numbers that frugal's own forward
// uses.
std::vector<float> rotary_frequencies(const architecture::Rope& rope, int64_t head_size);

}  // namespace frugal::artifact
