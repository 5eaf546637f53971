// fp32 to and from the half-width types in files. Exact in the widening direction; nearest, ties to
// even, in the other (IEEE 754-2019 §4.3.1), subnormals included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/status.h"
#include "format/dtype.h"

namespace frugal::format {

float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);  // above 65519.99…: infinity
inline float bf16_to_f32(uint16_t bits);
uint16_t f32_to_bf16(float value);

// bytes [n * size_bytes(dtype)], any alignment -> out [n]. `dtype` is F32, F16 or BF16.
void convert_to_f32(DType dtype, std::span<const std::byte> bytes, float* out);

// values [n] -> out [n * size_bytes(dtype)]. `where` names the tensor in errors. Errors: NaN,
// infinity, or a value that is too large for `dtype`, each with its index; a dtype that is not F32,
// F16 or BF16.
absl::Status convert_from_f32(std::span<const float> values, DType dtype, std::string_view where,
                              std::byte* out);

// Index of the first NaN or infinity.
std::optional<size_t> first_not_finite(std::span<const float> values);
// The same of stored F32, F16 or BF16.
std::optional<size_t> first_not_finite(DType dtype, std::span<const std::byte> bytes);

inline float bf16_to_f32(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  __builtin_memcpy(&value, &wide, sizeof(value));
  return value;
}

}  // namespace frugal::format
