// The finish after a sweep: coordinate descent on codes and refit of scales, both in the metric of
// the whole Hessian.
//
// With E = Q - W*, G = E (H + lambda I), every step lowers the row's objective E (H + lambda I)
// E^T:
//   code i    t_i <- nearest((Q_i - G_i / H_ii - c) / a)
//   group j   (a, c) <- its least-squares optimum given the codes, snapped to what the grid can
//             store: for a symmetric grid a <- a - (t^T G_j) / (t^T H_jj t); for an affine one the
//             2x2 system in (a, c)
//   block b   super-scales of grids with sub-scales: all scales and all offsets by one factor each,
//             again a 2x2 system
// A weight that `mask` pins is zero and stays so: no step moves it, and where a zero point moves,
// its code moves with it; t and 1 above then run over the kept weights. A step whose stored result
// would not lower the objective is not taken, and a row that ended higher than it began (possible
// through rounding only) is given back as it was.
//
// Rows are independent: call on slices of rows to show progress; the result does not depend on
// slicing or threads, and every implementation gives the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "grid/grid.h"
#include "kernels/sweep.h"

namespace frugal::kernels {

// Strides count elements (bytes for parameters) from one row to the next.
struct RefineProblem {
  const grid::Grid* grid = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;  // a multiple of block_columns

  const float* target = nullptr;  // W* [rows, columns] fp32, the matrix's column order
  int64_t target_stride = 0;

  // H + lambda I [columns, columns] fp32, symmetric, diagonal > 0, column order as W*.
  const float* hessian = nullptr;
  int64_t hessian_stride = 0;

  uint8_t* codes = nullptr;  // in and out [rows, columns]
  int64_t codes_stride = 0;
  std::byte* parameters = nullptr;  // in and out [rows, columns / block_columns, parameter_bytes]
  int64_t parameters_stride = 0;

  // Optional out [rows]: E (H + lambda I) E^T after the finish, from the gradient as maintained
  // (fp32 rounding).
  double* row_objective = nullptr;

  // Optional [rows, columns]: 0 pins the weight, whose code must decode to zero already. Only on
  // grids whose spec().holds_zero.
  const uint8_t* mask = nullptr;
  int64_t mask_stride = 0;
};

struct RefineOptions {
  int sweeps = 3;  // passes over all codes
  int refits = 2;  // the scales are refitted before each of the first `refits` sweeps (more than
                   // `sweeps`: after the last)
};

struct RefineReport {
  double objective_before = 0;  // sum over rows of E (H + lambda I) E^T
  double objective_after = 0;
  int64_t codes_changed = 0;  // code changes taken, all sweeps
  int64_t groups_refit = 0;   // parameter changes taken
};

// Throws std::invalid_argument on sizes that do not fit together, a diagonal that is not positive,
// or a pinned code that is not zero.
RefineReport refine(const RefineProblem& problem, const RefineOptions& options);

struct RefineKernel {
  const char* name;
  Device device;
  bool (*available)();
  RefineReport (*run)(const RefineProblem& problem, const RefineOptions& options);
};
std::span<const RefineKernel> refine_kernels();  // most specialised first

}  // namespace frugal::kernels
