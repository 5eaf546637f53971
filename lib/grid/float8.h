// FP8 E4M3 without infinities (OCP 8-bit floating point, "e4m3fn"): sign, 4 exponent bits (bias 7),
// 3 fraction bits. Finite values up to 448; bytes 0x7f and 0xff are NaN.
//
// Codes are the 253 finite values in ascending order with one zero: code 126 + m for byte m, 126 -
// m for byte 0x80 | m, m = 0..126.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace frugal::grid {

inline constexpr float kLargestFloat8 = 448.0f;
inline constexpr float kSmallestNormalFloat8 = 0x1p-6f;
inline constexpr int kFloat8Zero = 126;  // the code of 0

// The nearest value of the format, ties to the even fraction; clamped to +-448, NaN becomes -448.
inline float round_to_float8(float y) {
  const float raised = y > -kLargestFloat8 ? y : -kLargestFloat8;
  const float clamped = std::min(raised, kLargestFloat8);
  const float power = std::bit_cast<float>(std::bit_cast<uint32_t>(clamped) & 0x7f800000u);
  // Adding 1.5 * 2^20 times the power of two leaves three fraction bits.
  const float magic = std::max(power, kSmallestNormalFloat8) * 0x1.8p20f;
  return (clamped + magic) - magic;
}

// m above, for a value of the format.
inline int float8_magnitude(float value) {
  const float size = std::fabs(value);
  if (size < kSmallestNormalFloat8) return static_cast<int>(size * 0x1p9f);
  return static_cast<int>(std::bit_cast<uint32_t>(size) >> 20) - (127 - 7) * 8;
}

inline uint8_t float8_code(float value) {
  const int m = float8_magnitude(value);
  return static_cast<uint8_t>(kFloat8Zero + (value < 0 ? -m : m));
}

inline float float8_magnitude_value(int m) {
  return m < 8 ? static_cast<float>(m) * 0x1p-9f
               : std::ldexp(static_cast<float>(8 + m % 8), m / 8 - 10);
}

inline std::vector<float> float8_levels() {
  std::vector<float> levels;
  for (int m = kFloat8Zero; m > 0; --m) levels.push_back(-float8_magnitude_value(m));
  for (int m = 0; m <= kFloat8Zero; ++m) levels.push_back(float8_magnitude_value(m));
  return levels;
}

}  // namespace frugal::grid
