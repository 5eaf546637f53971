// The factorization that every solver of a stage shares.
//
// U is upper triangular with (H + λI)⁻¹ = UᵀU in processing order. The flip trick: with J the
// reversal and J(H + λI)J = L Lᵀ, U = (J L J)⁻¹: one Cholesky factorization and
// one triangular inverse, in fp64.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace frugal::layerwise {

struct FactorOptions {
  double damping = 0.01;  // λ as a share of the mean of the live diagonal
};

// The damping for a second moment of `columns` inputs from `tokens` tokens: ¾ √(columns / tokens),
// at least 0.01 and at most 0.2. The eigenvalues of such a moment spread by ±2 √(columns / tokens)
// about the true ones (Marchenko and Pastur 1967); this share of that came out best where it was
// measured (README.md).
double damping_for(int64_t columns, int64_t tokens);

struct Factor {
  at::Tensor order;    // [in] int64: column at each processing position
  at::Tensor upper;    // U [in, in] fp64 in processing order
  at::Tensor damped;   // H + λI [in, in] fp64 in the matrix's column order; dead columns have the
                       // mean live diagonal
  double damping = 0;  // the share that was needed
  int64_t recoveries =
      0;  // steps beyond the first try: damping raised, then a floor on the diagonal
  std::vector<int64_t> dead;  // columns whose input was always zero
  // Tensors lie where H lay; on the CPU where the device had too little memory for the work.
};

// Factorizes `hessian` [in, in] (symmetric, fp64, CPU or a device: there by LibTorch's own
// factorization, and on the CPU where the device's memory does not suffice) for the processing
// `order` (order.h). Where it is not positive definite, damping is doubled up to 1, then a diagonal
// floor of 1e-6 .. 1e-1 of the largest diagonal element is added (GPTQModel's recovery); each step
// counts. Errors: FailedPrecondition where that does not help either (NaN, strongly indefinite).
absl::StatusOr<Factor> factorize(const at::Tensor& hessian, const at::Tensor& order,
                                 const FactorOptions& options);

// M (H + λI)⁻¹ for M [rows, in] of any float type: fp64 [rows, in], column order of the matrix.
at::Tensor multiply_inverse(const at::Tensor& m, const Factor& factor);

// diag((H + λI)⁻¹) [in] fp64, column order of the matrix.
at::Tensor inverse_diagonal(const Factor& factor);

// Lower Cholesky factor of a symmetric fp64 matrix, and the inverse of a lower triangular one. In
// tiles (tiles.h): the same bits at any number of threads. `lower_cholesky` returns an undefined
// tensor where the matrix is not positive definite.
at::Tensor lower_cholesky(const at::Tensor& matrix);
at::Tensor invert_lower(const at::Tensor& lower);
// The same by one call of LibTorch each, as on a device.
at::Tensor lower_cholesky_whole(const at::Tensor& matrix);
at::Tensor invert_lower_whole(const at::Tensor& lower);

}  // namespace frugal::layerwise
