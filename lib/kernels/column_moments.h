// Sums over the rows of a matrix, column by column, in one pass.
#pragma once

#include <cstdint>

namespace frugal::kernels {

// Adds up x [rows, columns] fp32, `stride` elements from row to row: squares[j] = Σ x²,
// magnitudes[j] = Σ |x| (fp32 over 32 rows, then fp64, in ascending order) and maximum[j] = max
// |x|, all [columns] and overwritten. A NaN or infinity makes squares[j] one; the maximum passes
// over NaNs.
void column_moments(const float* x, int64_t stride, int64_t rows, int64_t columns, double* squares,
                    double* magnitudes, double* maximum);

}  // namespace frugal::kernels
