// FP4 E2M1 (OCP Microscaling formats, version 1.0): sign, two exponent bits (bias 1), one fraction
// bit. On grids its codes are the 15 values in ascending order with one zero: code 7 + m for bits
// m, code 7 - m for bits 8 | m, m = 0..7; their levels are the values doubled, and scales are
// halved.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/status.h"
#include "grid/grid.h"

namespace frugal::grid {

inline constexpr uint8_t kFloat4Zero = 7;  // the code of 0
// The values of bits 0 to 7, doubled.
inline constexpr std::array<float, 8> kFloat4Levels = {0, 1, 2, 3, 4, 6, 8, 12};

inline uint8_t float4_bits(uint8_t code) {
  return static_cast<uint8_t>(code >= kFloat4Zero ? code - kFloat4Zero : 8 + kFloat4Zero - code);
}
inline uint8_t float4_code(uint8_t bits) {
  return static_cast<uint8_t>(bits < 8 ? kFloat4Zero + bits : kFloat4Zero + 8 - bits);
}

// "nvfp4", "nvfp4:e-3": the grid of NVFP4 with this tensor scale; empty: no grid has it, as it is
// no power of two, or one out of their range.
std::string nvfp4_name(float tensor_scale);

// OK where all weights [count] fit the grid: NVFP4's scales end at 448 times the tensor scale. The
// error names the largest weight and a grid that holds it.
absl::Status check_range(const GridSpec& spec, const float* weights, int64_t count);

}  // namespace frugal::grid
