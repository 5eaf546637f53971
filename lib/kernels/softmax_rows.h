// A softmax, row by row in place, and the way back through it.
#pragma once

#include <cstdint>
#include <span>

namespace frugal::kernels {

// Sums run over sixteen lanes (value j in lane j mod 16) that are folded in halves at the end, and
// the exponential is one polynomial (relative error below 2e-7; arguments below −104 give zero):
// all builds give the same bits. A NaN among the values makes all results of the row NaN.
struct SoftmaxKernel {
  const char* name;
  bool (*available)();
  // x ← softmax(scale · x), for `count` ≥ 1 values and scale > 0. Returns log Σ exp(scale · x).
  float (*softmax)(float* x, int64_t count, float scale);
  // The same probabilities again, up to rounding: x ← exp(scale · x − log_sum).
  void (*probabilities)(float* x, int64_t count, float scale, float log_sum);
  // From the gradient by p = softmax(scale · x) to that by x: g ← scale · p (g − Σ p g).
  void (*gradient)(const float* p, float* g, int64_t count, float scale);
};

// Fastest first; the last one is the definition in plain C++.
std::span<const SoftmaxKernel> softmax_kernels();
// The fastest that this machine runs.
const SoftmaxKernel& softmax_kernel();

}  // namespace frugal::kernels
