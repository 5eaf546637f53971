// The column sweep of SparseGPT (Frantar and Alistarh 2023, Algorithm 1) over one window of
// columns: the sweep of sweep.h with q = w where the mask keeps a weight and q = 0 where it does
// not.
//
// For every row, for p = 0 .. width-1:
//   where `kept` of every `group` columns are kept, at p % group == 0: the mask of the next `group`
//   columns from the *current* weights, largest w^2 / U[p, p]^2 first (ties: the lower column)
//   q = w[p] or 0,  errors[p] = (w[p] - q) / U[p, p],  w[p+1:] -= errors[p] * U[p, p+1:]
// The caller updates the columns behind the window as for sweep.h. Every implementation gives the
// same bits, at any number of threads.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/sweep.h"

namespace frugal::kernels {

// Strides count elements from one row to the next. Columns lie in processing order.
struct MaskSweep {
  int64_t rows = 0;
  int64_t width = 0;  // columns of this window

  float* weights = nullptr;  // in and out [rows, width] fp32; out: final, zeros where masked
  int64_t weights_stride = 0;

  const float* factor = nullptr;  // [width, width] diagonal block of U; only j >= i is read
  int64_t factor_stride = 0;

  uint8_t* mask = nullptr;  // [rows, width] 1 = kept; in, or out where `group` > 0
  int64_t mask_stride = 0;

  int64_t group = 0;  // 0: the mask is given. Else 2 to 32, divides the width
  int64_t kept = 0;   // of every group, 1 to group - 1

  float* errors = nullptr;  // out [rows, width]
  int64_t errors_stride = 0;

  double* row_loss = nullptr;  // optional [rows], added to: sum of errors^2
};

// Runs the most specialised implementation of this machine. Throws std::invalid_argument on sizes
// that do not fit together, before anything is written. Weights must be finite.
void mask_sweep(const MaskSweep& sweep);

struct MaskSweepKernel {
  const char* name;
  Device device;
  bool (*available)();
  void (*run)(const MaskSweep& sweep);
};
std::span<const MaskSweepKernel> mask_sweep_kernels();  // most specialised first

}  // namespace frugal::kernels
