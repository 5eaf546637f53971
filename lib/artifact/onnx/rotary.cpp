// Tested by: tests/runtime/onnx_runtime.py
#include "artifact/onnx/rotary.h"

#include <ATen/ATen.h>

#include "model/rotary.h"

namespace frugal::artifact {

std::vector<float> rotary_frequencies(const format::ModelConfig& config) {
  const at::Tensor frequencies = model::rotary_frequencies(config).contiguous();
  const float* first = frequencies.const_data_ptr<float>();
  return {first, first + frequencies.numel()};
}

}  // namespace frugal::artifact
