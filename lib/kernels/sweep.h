// The GPTQ column sweep over one window of columns (Frantar et al. 2022, Algorithm 1; group-aware
// order).
//
// Words: *processing order* is the order in which columns are rounded; position p of the window is
// column `columns[p]` of the matrix. U is the upper Cholesky factor of the inverse damped Hessian
// in processing order, (H + lambda I)^-1 = U^T U.
//
// For every row, for p = 0 .. width-1:
//   at the first column of a grid block (only with `fit`): parameters of the block from the row's
//   *current* weights q = decode(nearest code of w[p]),  errors[p] = (w[p] - q) / U[p, p],  w[p+1:]
//   -= errors[p] * U[p, p+1:]
// A weight that `mask` pins has q = 0 exactly, whatever its value; its error flows on like any
// other. The caller then updates the columns behind the window with one GEMM: W[:, behind] -=
// errors * U[window, behind].
//
// Every implementation gives the same bits: the updates of a weight are fused multiply-adds in
// ascending p, whatever the tile, the instruction set or the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "grid/grid.h"

namespace frugal::kernels {

// Strides count elements (bytes for parameters) from one row to the next.
struct SweepBlock {
  const grid::Grid* grid = nullptr;
  int64_t rows = 0;
  int64_t width = 0;  // columns of this window

  // [rows, width] fp32, current weights in processing order; not changed.
  const float* weights = nullptr;
  int64_t weights_stride = 0;

  // [width, width] fp32, the window's diagonal block of U; only j >= i is read.
  const float* factor = nullptr;
  int64_t factor_stride = 0;

  // [width] column of the matrix at each position.
  const int32_t* columns = nullptr;

  // True: parameters are fitted on the current weights when a grid block is first touched, and
  // written to `parameters`; each block met must then lie in the window whole and without a gap
  // (group-aware order, width a multiple of block_columns). A block wider than the window: call
  // fit_blocks first, then sweep with fit = false.
  // False: `parameters` are read, columns may come in any order (static groups).
  bool fit = false;

  // [matrix columns] E[x^2] = diag H in the matrix's column order; null: all columns equal.
  const float* importance = nullptr;

  // Out [rows, matrix columns], written at columns[p] only.
  uint8_t* codes = nullptr;
  int64_t codes_stride = 0;

  // In or out [rows, matrix columns / block_columns, parameter_bytes].
  std::byte* parameters = nullptr;
  int64_t parameters_stride = 0;

  // Out [rows, width] fp32, (w - q) / U_pp.
  float* errors = nullptr;
  int64_t errors_stride = 0;

  // Optional [rows], added to: sum over p of errors^2. Over all windows this is the row's
  // (w - q) (H + lambda I) (w - q)^T exactly.
  double* row_loss = nullptr;

  // Optional [rows, matrix columns] in the matrix's column order, read at columns[p] only: 0 pins
  // the weight to zero. Only on grids whose spec().holds_zero. Parameters are fitted on the others.
  const uint8_t* mask = nullptr;
  int64_t mask_stride = 0;
};

// Runs the most specialised implementation of this machine; rows go across OpenMP threads. Throws
// std::invalid_argument on sizes that do not fit together (see `fit`), before anything is written.
// NaN weights give some code and NaN errors.
void sweep(const SweepBlock& block);

// Parameters of whole blocks from given weights: for static groups (columns null: position p is
// column first_column + p) and for blocks wider than a sweep window.
struct FitBlocks {
  const grid::Grid* grid = nullptr;
  int64_t rows = 0;
  int64_t width = 0;  // a multiple of block_columns; each block whole and without a gap

  const float* weights = nullptr;  // [rows, width] fp32 in processing order
  int64_t weights_stride = 0;
  const int32_t* columns = nullptr;   // [width], or null
  int64_t first_column = 0;           // where columns is null; a multiple of block_columns
  const float* importance = nullptr;  // as in SweepBlock
  bool search = true;                 // false: the plain min-max rule

  std::byte* parameters = nullptr;  // out, as in SweepBlock
  int64_t parameters_stride = 0;

  const uint8_t* mask = nullptr;  // as in SweepBlock
  int64_t mask_stride = 0;
};
// Throws std::invalid_argument on sizes that do not fit together.
void fit_blocks(const FitBlocks& blocks);

// The implementations, most specialised first; sweep() takes the first on the CPU that this machine
// can run. Those for CUDA want device memory (sweep_cuda.h).
enum class Device { kCpu, kCuda };
struct SweepKernel {
  const char* name;
  Device device;
  bool (*available)();
  void (*run)(const SweepBlock& block);
};
std::span<const SweepKernel> sweep_kernels();
// The first of `device` that this machine can run; null only where there is no CUDA.
const SweepKernel* sweep_kernel(Device device);

}  // namespace frugal::kernels
