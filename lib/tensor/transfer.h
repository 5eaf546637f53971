// Checkpoint tensors to LibTorch and back.
#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "base/status.h"
#include "format/checkpoint.h"
#include "format/dtype.h"

namespace frugal::tensor {

at::ScalarType scalar_type(format::DType dtype);
absl::StatusOr<format::DType> dtype_of(at::ScalarType type);

// The named tensor [shape] in `type` on `device`; quantized ones decoded. Errors as
// Checkpoint::values.
absl::StatusOr<at::Tensor> load(const format::Checkpoint& checkpoint, std::string_view name,
                                at::ScalarType type, const at::Device& device);

// Writes `value` (any device, any float type) as the writer's next tensor, in its declared dtype.
absl::Status write(format::CheckpointWriter& writer, std::string_view name,
                   const at::Tensor& value);

}  // namespace frugal::tensor
