#include "kernels/column_moments.h"

#include <algorithm>
#include <cmath>

namespace frugal::kernels {
namespace {

constexpr int64_t kBlockRows = 32;
constexpr int64_t kBlockColumns = 256;

struct BlockSums {
  float squares[kBlockColumns];
  float magnitudes[kBlockColumns];
  float maximum[kBlockColumns];
};

void add_row(const float* x, int64_t columns, BlockSums& sums) {
#pragma omp simd
  for (int64_t j = 0; j < columns; ++j) {
    const float magnitude = std::fabs(x[j]);
    sums.squares[j] += x[j] * x[j];
    sums.magnitudes[j] += magnitude;
    sums.maximum[j] = sums.maximum[j] < magnitude ? magnitude : sums.maximum[j];
  }
}

}  // namespace

void column_moments(const float* x, int64_t stride, int64_t rows, int64_t columns, double* squares,
                    double* magnitudes, double* maximum) {
  for (double* const out : {squares, magnitudes, maximum}) std::fill_n(out, columns, 0.0);
  for (int64_t begin = 0; begin < columns; begin += kBlockColumns) {
    const int64_t width = std::min(kBlockColumns, columns - begin);
    for (int64_t first = 0; first < rows; first += kBlockRows) {
      BlockSums sums{};
      const int64_t last = std::min(first + kBlockRows, rows);
      for (int64_t row = first; row < last; ++row) add_row(x + row * stride + begin, width, sums);
      for (int64_t j = 0; j < width; ++j) {
        squares[begin + j] += sums.squares[j];
        magnitudes[begin + j] += sums.magnitudes[j];
        maximum[begin + j] = std::max<double>(maximum[begin + j], sums.maximum[j]);
      }
    }
  }
}

}  // namespace frugal::kernels
