// Tested by: tests/kernels/bf16_product_test.cpp
// The definition: plain C++, one element at a time.
#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/bf16_product_kernels.h"

namespace frugal::kernels {
namespace {

uint32_t to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return (bits >> 16) | 0x40;           // stays a NaN
  if ((bits & 0x7f800000) == 0) return (bits >> 16) & 0x8000;  // the instruction reads zero
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

float from_bf16(uint32_t bits) { return std::bit_cast<float>(bits << 16); }

// The instruction flushes what is subnormal of a sum.
float flushed(float sum) {
  return std::fpclassify(sum) == FP_SUBNORMAL ? std::copysign(0.0f, sum) : sum;
}

uint32_t element(const PackSource& source, int64_t row, int64_t column) {
  if (row >= source.rows || column >= source.columns) return 0;
  const float value = source.values[row * source.stride + column];
  if (source.minus == nullptr) return to_bf16(value);
  return to_bf16(value - source.minus[row * source.minus_stride + column]);
}

}  // namespace

void pack_columns_reference(const PackSource& source, int64_t panel, uint32_t* words) {
  for (int64_t p = 0; p < pair_count(source.rows); ++p) {
    for (int64_t v = 0; v < kPanel; ++v) {
      const int64_t column = panel * kPanel + v;
      words[p * kPanel + v] = element(source, 2 * p, column) | element(source, 2 * p + 1, column)
                                                                   << 16;
    }
  }
}

void pack_rows_reference(const PackSource& source, int64_t panel, uint32_t* words) {
  for (int64_t p = 0; p < pair_count(source.columns); ++p) {
    for (int64_t v = 0; v < kPanel; ++v) {
      const int64_t row = panel * kPanel + v;
      words[p * kPanel + v] = element(source, row, 2 * p) | element(source, row, 2 * p + 1) << 16;
    }
  }
}

void multiply_reference(const uint32_t* a, const uint32_t* b, int64_t pairs, int64_t rows,
                        int64_t columns, float* out, int64_t stride) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      float sum = 0;
      for (int64_t p = 0; p < pairs; ++p) {
        const uint32_t x = a[p * kPanel + i], y = b[p * kPanel + j];
        // The instruction adds the products of the odd elements first.
        sum = flushed(std::fma(from_bf16(x >> 16), from_bf16(y >> 16), sum));
        sum = flushed(std::fma(from_bf16(x & 0xffff), from_bf16(y & 0xffff), sum));
      }
      out[i * stride + j] = sum;
    }
  }
}

}  // namespace frugal::kernels
