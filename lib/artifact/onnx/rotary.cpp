#include "artifact/onnx/rotary.h"

#include <algorithm>

#include "model/rotary.h"
#include "tensor/aten.h"

namespace frugal::artifact {

Rotation rotation_of(const architecture::ModelConfig& config, int64_t layer) {
  const architecture::Attention& attention = config.layers.at(static_cast<size_t>(layer)).attention;
  return {attention.rope, attention.head_size};
}

std::vector<Rotation> rotations(const architecture::ModelConfig& config) {
  std::vector<Rotation> known;
  for (int64_t layer = 0; layer < config.layer_count(); ++layer) {
    const Rotation rotation = rotation_of(config, layer);
    if (std::find(known.begin(), known.end(), rotation) == known.end()) known.push_back(rotation);
  }
  return known;
}

bool Rotation::depends_on_length() const { return model::depends_on_length(rope); }
double Rotation::attention_factor() const { return model::attention_factor(rope); }

std::vector<float> rotary_frequencies(const architecture::Rope& rope, int64_t head_size,
                                      bool beyond) {
  const at::Tensor frequencies = model::rotary_frequencies(rope, head_size, beyond).contiguous();
  const float* first = frequencies.const_data_ptr<float>();
  return {first, first + frequencies.numel()};
}

}  // namespace frugal::artifact
