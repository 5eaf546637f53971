// The row loops of a layer that LibTorch has no fused form of on the CPU: each reads and writes its
// rows once, where the composition of ATen operators makes five passes forward and a dozen
// backward. Plain pointers, fp32, row-major, one thread: callers split rows across threads. The
// ATen compositions beside their callers are the reference.
#pragma once

#include <cstdint>

namespace frugal::model {

// y[r] = x[r] * scale[r] * weight, scale[r] = 1 / sqrt(mean(x[r]^2) + epsilon). x, y [rows, width];
// scale [rows].
void normalize_rows(const float* x, const float* weight, float epsilon, int64_t rows, int64_t width,
                    float* y, float* scale);

// Gradient of the above by x into dx [rows, width]; that by weight is added to dweight [width].
void normalize_rows_backward(const float* x, const float* weight, const float* scale,
                             const float* dy, int64_t rows, int64_t width, float* dx,
                             float* dweight);

// Turns every head of one place: y[h][i] = x[h][i] c[i] - d s[i] x[h][i + half], y[h][i + half] =
// x[h][i + half] c[i] + d s[i] x[h][i] with d = direction (1, or -1 for the transpose). x, y
// [heads, 2 * half]; cosine, sine [half]. x and y may be one.
void rotate_heads(const float* x, const float* cosine, const float* sine, float direction,
                  int64_t heads, int64_t half, float* y);

}  // namespace frugal::model
