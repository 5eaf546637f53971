// Tested by: tests/kernels/softmax_rows_test.cpp
#include <cmath>
#include <limits>

#include "kernels/softmax_rows_kernels.h"

#if FRUGAL_X86_TARGETS
// GCC 12 takes the undefined operands of its own unmasked intrinsics for an oversight.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma")

namespace frugal::kernels {
namespace {

constexpr int kLanes = kSoftmaxLanes;

__mmask16 lanes_at(int64_t j, int64_t count) {
  return count - j >= kLanes ? __mmask16{0xffff} : static_cast<__mmask16>((1u << (count - j)) - 1);
}

inline __m512 exponential(__m512 x) {
  const __m512 bounded = _mm512_max_ps(_mm512_set1_ps(kLowestExponent), x);  // a NaN stays
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(bounded, _mm512_set1_ps(kLog2e)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2High), bounded);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2Low), r);
  __m512 sum = _mm512_set1_ps(kTaylor[0]);
#pragma GCC unroll 7
  for (int i = 1; i < 8; ++i) sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(kTaylor[i]));
  return _mm512_scalef_ps(sum, n);
}

float folded(__m512 sums) {
  alignas(64) float of[kLanes];
  _mm512_store_ps(of, sums);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) of[i] += of[i + half];
  }
  return of[0];
}

float largest(const float* x, int64_t count) {
  __m512 most = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  for (int64_t j = 0; j < count; j += kLanes) {
    const __mmask16 mask = lanes_at(j, count);
    most = _mm512_mask_max_ps(most, mask, most, _mm512_maskz_loadu_ps(mask, x + j));
  }
  return _mm512_reduce_max_ps(most);
}

}  // namespace

float softmax_avx512(float* x, int64_t count, float scale) {
  const float shift = scale * largest(x, count);
  const __m512 scales = _mm512_set1_ps(scale), shifts = _mm512_set1_ps(shift);
  __m512 sums = _mm512_setzero_ps();
  for (int64_t j = 0; j < count; j += kLanes) {
    const __mmask16 mask = lanes_at(j, count);
    const __m512 e =
        exponential(_mm512_fmsub_ps(scales, _mm512_maskz_loadu_ps(mask, x + j), shifts));
    sums = _mm512_mask_add_ps(sums, mask, sums, e);
    _mm512_mask_storeu_ps(x + j, mask, e);
  }
  const float sum = folded(sums);
  const __m512 inverse = _mm512_set1_ps(1.0F / sum);
  for (int64_t j = 0; j < count; j += kLanes) {
    const __mmask16 mask = lanes_at(j, count);
    _mm512_mask_storeu_ps(x + j, mask, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + j), inverse));
  }
  return shift + std::log(sum);
}

void probabilities_avx512(float* x, int64_t count, float scale, float log_sum) {
  const __m512 scales = _mm512_set1_ps(scale), shifts = _mm512_set1_ps(log_sum);
  for (int64_t j = 0; j < count; j += kLanes) {
    const __mmask16 mask = lanes_at(j, count);
    const __m512 values = _mm512_maskz_loadu_ps(mask, x + j);
    _mm512_mask_storeu_ps(x + j, mask, exponential(_mm512_fmsub_ps(scales, values, shifts)));
  }
}

void softmax_gradient_avx512(const float* p, float* g, int64_t count, float scale) {
  __m512 sums = _mm512_setzero_ps();
  for (int64_t j = 0; j < count; j += kLanes) {
    const __mmask16 mask = lanes_at(j, count);
    sums = _mm512_mask3_fmadd_ps(_mm512_maskz_loadu_ps(mask, p + j),
                                 _mm512_maskz_loadu_ps(mask, g + j), sums, mask);
  }
  const __m512 mean = _mm512_set1_ps(folded(sums)), scales = _mm512_set1_ps(scale);
  for (int64_t j = 0; j < count; j += kLanes) {
    const __mmask16 mask = lanes_at(j, count);
    const __m512 apart = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, g + j), mean);
    const __m512 weight = _mm512_mul_ps(scales, _mm512_maskz_loadu_ps(mask, p + j));
    _mm512_mask_storeu_ps(g + j, mask, _mm512_mul_ps(weight, apart));
  }
}

}  // namespace frugal::kernels
#endif  // FRUGAL_X86_TARGETS
