#include "model/row_kernels.h"

#include <cmath>

// One binary for every CPU: the loader picks the widest of these.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define FRUGAL_WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FRUGAL_WIDEST
#endif

namespace frugal::model {

FRUGAL_WIDEST
void normalize_rows(const float* x, const float* weight, float epsilon, int64_t rows, int64_t width,
                    float* y, float* scale) {
  for (int64_t row = 0; row < rows; ++row, x += width, y += width) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < width; ++i) sum += x[i] * x[i];
    const float factor = 1.0F / std::sqrt(sum / static_cast<float>(width) + epsilon);
    scale[row] = factor;
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) y[i] = x[i] * factor * weight[i];
  }
}

FRUGAL_WIDEST
void normalize_rows_backward(const float* x, const float* weight, const float* scale,
                             const float* dy, int64_t rows, int64_t width, float* dx,
                             float* dweight) {
  for (int64_t row = 0; row < rows; ++row, x += width, dy += width, dx += width) {
    const float factor = scale[row];
    float along = 0;  // how much of the gradient points along x
#pragma omp simd reduction(+ : along)
    for (int64_t i = 0; i < width; ++i) along += dy[i] * weight[i] * x[i];
    const float back = along * factor * factor * factor / static_cast<float>(width);
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) {
      dx[i] = dy[i] * weight[i] * factor - x[i] * back;
      dweight[i] += dy[i] * x[i] * factor;
    }
  }
}

FRUGAL_WIDEST
void rotate_heads(const float* x, const float* cosine, const float* sine, float direction,
                  int64_t heads, int64_t half, float* y) {
  for (int64_t head = 0; head < heads; ++head, x += 2 * half, y += 2 * half) {
#pragma omp simd
    for (int64_t i = 0; i < half; ++i) {
      const float first = x[i], second = x[i + half], turn = direction * sine[i];
      y[i] = first * cosine[i] - second * turn;
      y[i + half] = second * cosine[i] + first * turn;
    }
  }
}

}  // namespace frugal::model
