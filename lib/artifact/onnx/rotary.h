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
  int64_t pairs() const { return rope.turned(head_size) / 2; }
  bool depends_on_length() const;
  double attention_factor() const;  // of cosines and sines
  bool operator==(const Rotation&) const = default;
};
Rotation rotation_of(const architecture::ModelConfig& config, int64_t layer);
// The different ones, in the order of their first layers.
std::vector<Rotation> rotations(const architecture::ModelConfig& config);

// Angle per position of each channel pair that turns, [R / 2]: exactly the numbers that frugal's
// own forward uses. `beyond`: of sequences longer than the first context ("longrope").
std::vector<float> rotary_frequencies(const architecture::Rope& rope, int64_t head_size,
                                      bool beyond = false);

}  // namespace frugal::artifact
