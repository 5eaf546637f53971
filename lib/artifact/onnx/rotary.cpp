// Tested by: tests/runtime/onnx_runtime.py
#include "artifact/onnx/rotary.h"

#include <ATen/ATen.h>

#include "model/rotary.h"

namespace frugal::artifact {

std::vector<float> rotary_frequencies(const architecture::Rope& rope, int64_t head_size) {
  const at::Tensor frequencies = model::rotary_frequencies(rope, head_size).contiguous();
  const float* first = frequencies.const_data_ptr<float>();
  return {first, first + frequencies.numel()};
}

}  // namespace frugal::artifact
