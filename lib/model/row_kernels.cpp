#include "model/row_kernels.h"

#include <cmath>

#include "grid/instruction_sets.h"

namespace frugal::model {
namespace {

// Inlined into a caller of each instruction set. The compiler reorders the sums they mark: results
// depend on the instruction set, but not on the number of rows or threads.
#define FRUGAL_ALWAYS __attribute__((always_inline))
#define FRUGAL_INLINED inline FRUGAL_ALWAYS

FRUGAL_INLINED void normalize_loop(const float* x, const float* weight, float epsilon, int64_t rows,
                                   int64_t width, float* y, float* scale) {
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

FRUGAL_INLINED void normalize_backward_loop(const float* x, const float* weight, const float* scale,
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

FRUGAL_INLINED void rotate_loop(const float* x, const float* cosine, const float* sine,
                                float direction, int64_t heads, int64_t half, float* y) {
  for (int64_t head = 0; head < heads; ++head, x += 2 * half, y += 2 * half) {
#pragma omp simd
    for (int64_t i = 0; i < half; ++i) {
      const float first = x[i], second = x[i + half], turn = direction * sine[i];
      y[i] = first * cosine[i] - second * turn;
      y[i + half] = second * cosine[i] + first * turn;
    }
  }
}

#if FRUGAL_X86_TARGETS
template <typename Loop>
__attribute__((target("avx512f"))) void on_avx512(const Loop& loop) {
  loop();
}
template <typename Loop>
__attribute__((target("avx2"))) void on_avx2(const Loop& loop) {
  loop();
}
#endif

enum class Vectors { kPlain, kAvx2, kAvx512 };
// The widest that this CPU has and that FRUGAL_CPU_LEVEL allows.
Vectors widest() {
  static const Vectors found = grid::has_avx512() ? Vectors::kAvx512
                               : grid::has_avx2() ? Vectors::kAvx2
                                                  : Vectors::kPlain;
  return found;
}

// `loop` must be inlined.
template <typename Loop>
void on_widest(const Loop& loop) {
#if FRUGAL_X86_TARGETS
  if (widest() == Vectors::kAvx512) return on_avx512(loop);
  if (widest() == Vectors::kAvx2) return on_avx2(loop);
#endif
  loop();
}

}  // namespace

void normalize_rows(const float* x, const float* weight, float epsilon, int64_t rows, int64_t width,
                    float* y, float* scale) {
  on_widest([=]() FRUGAL_ALWAYS { normalize_loop(x, weight, epsilon, rows, width, y, scale); });
}

void normalize_rows_backward(const float* x, const float* weight, const float* scale,
                             const float* dy, int64_t rows, int64_t width, float* dx,
                             float* dweight) {
  on_widest([=]() FRUGAL_ALWAYS {
    normalize_backward_loop(x, weight, scale, dy, rows, width, dx, dweight);
  });
}

void rotate_heads(const float* x, const float* cosine, const float* sine, float direction,
                  int64_t heads, int64_t half, float* y) {
  on_widest([=]() FRUGAL_ALWAYS { rotate_loop(x, cosine, sine, direction, heads, half, y); });
}

}  // namespace frugal::model
