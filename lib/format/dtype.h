// Element types of tensors in files.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace frugal::format {

enum class DType {
  kF32,
  kF16,
  kBF16,
  kF64,
  kI8,
  kU8,
  kI16,
  kU16,
  kI32,
  kU32,
  kI64,
  kU64,
  kBool,
  kF8E4M3  // E4M3 without infinities (grid/float8.h): codes of packed weights
};

int64_t size_bytes(DType dtype);
std::string_view name(DType dtype);  // safetensors spelling: "F32", "BF16"
// F32, F16, BF16: the types in which weights are stored and computed.
bool is_floating(DType dtype);
// Errors: Unimplemented for names of the format that frugal does not read (F8_E5M2),
// InvalidArgument for others.
absl::StatusOr<DType> parse_dtype(std::string_view name);

}  // namespace frugal::format
