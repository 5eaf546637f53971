// Tested by: tests/kernels/softmax_rows_test.cpp
// The definition: plain C++, one value at a time.
#include <cmath>
#include <limits>

#include "kernels/softmax_rows_kernels.h"

namespace frugal::kernels {
namespace {

float exponential(float x) {
  const float bounded = kLowestExponent > x ? kLowestExponent : x;  // a NaN stays
  const float n = std::nearbyintf(bounded * kLog2e);
  const float r = std::fma(-n, kLn2Low, std::fma(-n, kLn2High, bounded));
  float sum = kTaylor[0];
  for (int i = 1; i < 8; ++i) sum = std::fma(sum, r, kTaylor[i]);
  return std::isnan(n) ? n : std::ldexp(sum, static_cast<int>(n));
}

struct Lanes {
  float of[kSoftmaxLanes] = {};
  float folded() const {
    float sums[kSoftmaxLanes];
    for (int i = 0; i < kSoftmaxLanes; ++i) sums[i] = of[i];
    for (int half = kSoftmaxLanes / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) sums[i] += sums[i + half];
    }
    return sums[0];
  }
};

}  // namespace

float softmax_reference(float* x, int64_t count, float scale) {
  float largest = -std::numeric_limits<float>::infinity();
  for (int64_t j = 0; j < count; ++j) largest = largest > x[j] ? largest : x[j];
  const float shift = scale * largest;
  Lanes sums;
  for (int64_t j = 0; j < count; ++j) {
    x[j] = exponential(std::fma(scale, x[j], -shift));
    sums.of[j % kSoftmaxLanes] += x[j];
  }
  const float sum = sums.folded(), inverse = 1.0F / sum;
  for (int64_t j = 0; j < count; ++j) x[j] *= inverse;
  return shift + std::log(sum);
}

void probabilities_reference(float* x, int64_t count, float scale, float log_sum) {
  for (int64_t j = 0; j < count; ++j) x[j] = exponential(std::fma(scale, x[j], -log_sum));
}

void softmax_gradient_reference(const float* p, float* g, int64_t count, float scale) {
  Lanes sums;
  for (int64_t j = 0; j < count; ++j) {
    float& sum = sums.of[j % kSoftmaxLanes];
    sum = std::fma(p[j], g[j], sum);
  }
  const float mean = sums.folded();
  for (int64_t j = 0; j < count; ++j) g[j] = scale * p[j] * (g[j] - mean);
}

}  // namespace frugal::kernels
