// Tested by: tests/kernels/bf16_product_test.cpp
#include <algorithm>

#include "kernels/bf16_product_kernels.h"

#if FRUGAL_X86_TARGETS
// GCC 12 takes the undefined operands of its own unmasked intrinsics for an oversight.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma")

namespace frugal::kernels {
namespace {

constexpr int kLanes = 16;
constexpr int kVectors = kPanel / kLanes;
constexpr int kRows = 4;        // of the output in work: 16 sums in registers
constexpr int64_t kDepth = 64;  // pairs between two visits of a sum: 16 KiB of either panel

__mmask16 first_lanes(int64_t count) {
  return static_cast<__mmask16>((1u << std::clamp<int64_t>(count, 0, kLanes)) - 1);
}

// Up to sixteen values of a row from `column` on, zeros beyond the matrix.
inline __m512 load(const PackSource& source, int64_t row, int64_t column) {
  if (row >= source.rows) return _mm512_setzero_ps();
  const __mmask16 mask = first_lanes(source.columns - column);
  const __m512 values = _mm512_maskz_loadu_ps(mask, source.values + row * source.stride + column);
  if (source.minus == nullptr) return values;
  return _mm512_sub_ps(
      values, _mm512_maskz_loadu_ps(mask, source.minus + row * source.minus_stride + column));
}

__m512i rounded(__m512 low, __m512 high) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));  // low half: the first operand
}

// Word i = (low[i], high[i]).
__m512i pairs_of(__m512 low, __m512 high) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, rounded(low, high));
}

// Rows of sixteen words become columns.
void transpose(__m512i (&r)[kLanes]) {
  __m512i t[kLanes];
  for (int i = 0; i < kLanes; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < kLanes; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

// Sums of kRows vectors of A with all of B, over one depth. Unrolled by hand, so that the sums stay
// in registers at any level of optimization.
void multiply_rows(const uint32_t* a, const uint32_t* b, int64_t pairs, bool first, float* sums) {
  __m512 sum[kRows][kVectors];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j)
      sum[r][j] = first ? _mm512_setzero_ps() : _mm512_load_ps(sums + r * kPanel + j * kLanes);
  }
  for (int64_t p = 0; p < pairs; ++p) {
    __m512bh right[kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j)
      right[j] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + p * kPanel + j * kLanes));
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const auto left =
          reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(a[p * kPanel + r])));
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sum[r][j] = _mm512_dpbf16_ps(sum[r][j], left, right[j]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) _mm512_store_ps(sums + r * kPanel + j * kLanes, sum[r][j]);
  }
}

}  // namespace

void pack_columns_avx512(const PackSource& source, int64_t panel, uint32_t* words) {
  for (int64_t p = 0; p < pair_count(source.rows); ++p) {
    for (int j = 0; j < kVectors; ++j) {
      const int64_t column = panel * kPanel + j * kLanes;
      _mm512_storeu_si512(words + p * kPanel + j * kLanes,
                          pairs_of(load(source, 2 * p, column), load(source, 2 * p + 1, column)));
    }
  }
}

void pack_rows_avx512(const PackSource& source, int64_t panel, uint32_t* words) {
  const int64_t pairs = pair_count(source.columns);
  for (int j = 0; j < kVectors; ++j) {
    const int64_t row = panel * kPanel + j * kLanes;
    for (int64_t p = 0; p < pairs; p += kLanes) {  // sixteen words of sixteen rows
      __m512i block[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        block[i] = rounded(load(source, row + i, 2 * p), load(source, row + i, 2 * p + kLanes));
      }
      transpose(block);
      const int64_t count = std::min<int64_t>(kLanes, pairs - p);
      for (int64_t i = 0; i < count; ++i)
        _mm512_storeu_si512(words + (p + i) * kPanel + j * kLanes, block[i]);
    }
  }
}

void multiply_avx512(const uint32_t* a, const uint32_t* b, int64_t pairs, int64_t rows,
                     int64_t columns, float* out, int64_t stride) {
  alignas(64) float sums[kPanel * kPanel];
  const int64_t worked = (rows + kRows - 1) / kRows * kRows;
  for (int64_t p = 0; p == 0 || p < pairs; p += kDepth) {
    const int64_t depth = std::min(kDepth, pairs - p);
    for (int64_t r = 0; r < worked; r += kRows) {
      multiply_rows(a + p * kPanel + r, b + p * kPanel, depth, p == 0, sums + r * kPanel);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < columns; j += kLanes) {
      _mm512_mask_storeu_ps(out + r * stride + j, first_lanes(columns - j),
                            _mm512_load_ps(sums + r * kPanel + j));
    }
  }
}

}  // namespace frugal::kernels
#endif  // FRUGAL_X86_TARGETS
