// Products of 8-bit weights with 8-bit inputs (W8A8), as integer hardware computes them.
//
// A token x becomes s q with s = max(max|x| / 127, 2^-126) and q = round(x / s), halves to even, in
// fp32; a weight row is t c with integers c in -128..127. y = float(sum_j q_j c_j) * s * t, where
// the sum is exact. Only the forward: rounding has no gradient.
#pragma once

#include <ATen/core/Tensor.h>

#include "base/status.h"
#include "grid/grid.h"

namespace frugal::model {

struct IntegerMatrix {
  at::Tensor codes;   // [R, in] int8
  at::Tensor scales;  // [R] fp32
};
struct IntegerRows {
  at::Tensor codes;   // [.., in] fp32, integers in -127..127
  at::Tensor scales;  // [.., 1] fp32
};

// Codes and scales of a matrix on grid int8:row, on the CPU. Errors: another grid.
absl::StatusOr<IntegerMatrix> integer_matrix(const grid::QuantizedMatrix& matrix);

// Rounds every token of x [.., in]. Throws where a gradient is asked for.
IntegerRows round_rows(const at::Tensor& x);
// s q [.., in] fp32: the inputs that the product sees.
at::Tensor restore_rows(const IntegerRows& rows);

// y [.., R] fp32. Exact at any width: fp32 products of at most 1024 columns hold every partial sum
// (1024 * 127 * 128 < 2^24), their sums are added in fp64.
at::Tensor integer_linear(const IntegerRows& x, const IntegerMatrix& weights);

}  // namespace frugal::model
