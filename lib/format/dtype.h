// Element types of tensors in files.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace frugal::format {

enum class DType { kF32, kF16, kBF16, kF64, kI8, kU8, kI16, kU16, kI32, kU32, kI64, kU64, kBool };

int64_t size_bytes(DType dtype);
std::string_view name(DType dtype);  // safetensors spelling: "F32", "BF16"
absl::StatusOr<DType> parse_dtype(std::string_view name);

}  // namespace frugal::format
