#include "format/convert.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace frugal::format {
namespace {

constexpr uint32_t kSign32 = 0x80000000u;
constexpr uint32_t kExponent32 = 0x7f800000u;

template <typename Widen>
void widen(std::span<const std::byte> bytes, float* out, Widen&& to_f32) {
  const size_t count = bytes.size() / sizeof(uint16_t);
  for (size_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, bytes.data() + i * sizeof(bits), sizeof(bits));
    out[i] = to_f32(bits);
  }
}

template <typename Narrow>
void narrow(std::span<const float> values, std::byte* out, Narrow&& from_f32) {
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = from_f32(values[i]);
    std::memcpy(out + i * sizeof(bits), &bits, sizeof(bits));
  }
}

// Index of the first number, its sign aside, of at least `exponent`: all ones of an exponent field.
template <typename Bits>
std::optional<size_t> first_reaching(std::span<const std::byte> bytes, Bits exponent) {
  constexpr Bits kMagnitude = static_cast<Bits>(~Bits{0}) >> 1;
  // Whole chunks come to one number first, a form that compilers vectorize.
  constexpr size_t kChunk = 4096;
  const size_t count = bytes.size() / sizeof(Bits);
  const auto magnitude = [&](size_t i) {
    Bits bits;
    std::memcpy(&bits, bytes.data() + i * sizeof(Bits), sizeof(Bits));
    return static_cast<Bits>(bits & kMagnitude);
  };
  for (size_t begin = 0; begin < count; begin += kChunk) {
    const size_t end = std::min(count, begin + kChunk);
    Bits largest = 0;
    for (size_t i = begin; i < end; ++i) largest = std::max(largest, magnitude(i));
    if (largest < exponent) continue;
    for (size_t i = begin; i < end; ++i) {
      if (magnitude(i) >= exponent) return i;
    }
  }
  return std::nullopt;
}

// The index of a half-width value whose exponent field is all ones (infinity): the inputs were
// finite.
std::optional<size_t> first_overflow(const std::byte* out, size_t count, uint16_t exponent) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, out + i * sizeof(bits), sizeof(bits));
    if ((bits & exponent) == exponent) return i;
  }
  return std::nullopt;
}

}  // namespace

float f16_to_f32(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(bits & 0x7fffu) << 13;
  if ((bits & 0x7c00u) == 0x7c00u) return std::bit_cast<float>(sign | magnitude | kExponent32);
  // Read with fp32's bias the exponent is 112 too small; the product is exact, subnormals included.
  const float scaled = std::bit_cast<float>(magnitude) * 0x1p112f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | sign);
}

uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits & kSign32) >> 16);
  const uint32_t magnitude = bits & ~kSign32;
  if (magnitude > kExponent32) return static_cast<uint16_t>(sign | 0x7e00u);   // NaN
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 and more
  if (magnitude < 0x38800000u) {  // below 2^-14: subnormal, in steps of 2^-24
    // Adding 0.5 aligns the last bit of the sum with 2^-24: the addition itself rounds to nearest
    // even.
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(sum) - 0x3f000000u));
  }
  const uint32_t odd = (magnitude >> 13) & 1u;
  const uint32_t rounded = magnitude - 0x38000000u + 0xfffu + odd;
  return static_cast<uint16_t>(sign | (rounded >> 13));
}

uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & ~kSign32) > kExponent32) return static_cast<uint16_t>((bits >> 16) | 0x40u);  // NaN
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

void convert_to_f32(DType dtype, std::span<const std::byte> bytes, float* out) {
  if (bytes.empty()) return;
  if (dtype == DType::kF32) {
    std::memcpy(out, bytes.data(), bytes.size());
  } else if (dtype == DType::kF16) {
    widen(bytes, out, f16_to_f32);
  } else {
    widen(bytes, out, bf16_to_f32);
  }
}

absl::Status convert_from_f32(std::span<const float> values, DType dtype, std::string_view where,
                              std::byte* out) {
  if (!is_floating(dtype)) {
    return base::invalid_argument(where, ": fp32 values cannot be stored as ", name(dtype),
                                  "; expected F32, F16 or BF16");
  }
  if (const std::optional<size_t> bad = first_not_finite(values)) {
    return base::failed(where, ": value ", *bad, " is ",
                        std::isnan(values[*bad]) ? "NaN" : "infinite",
                        "; refusing to write it (the step before this one diverged)");
  }
  if (values.empty()) return absl::OkStatus();
  if (dtype == DType::kF32) {
    std::memcpy(out, values.data(), values.size_bytes());
    return absl::OkStatus();
  }
  const bool is_f16 = dtype == DType::kF16;
  if (is_f16) {
    narrow(values, out, f32_to_f16);
  } else {
    narrow(values, out, f32_to_bf16);
  }
  if (const auto bad = first_overflow(out, values.size(), is_f16 ? 0x7c00u : 0x7f80u)) {
    return base::failed(where, ": value ", *bad, " is ", values[*bad], ", too large for ",
                        name(dtype), "; store the model as ", is_f16 ? "BF16 or F32" : "F32");
  }
  return absl::OkStatus();
}

std::optional<size_t> first_not_finite(std::span<const float> values) {
  return first_reaching<uint32_t>(std::as_bytes(values), kExponent32);
}

std::optional<size_t> first_not_finite(DType dtype, std::span<const std::byte> bytes) {
  if (dtype == DType::kF32) return first_reaching<uint32_t>(bytes, kExponent32);
  return first_reaching<uint16_t>(bytes, dtype == DType::kF16 ? 0x7c00u : 0x7f80u);
}

}  // namespace frugal::format
