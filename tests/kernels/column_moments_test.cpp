#include "kernels/column_moments.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace frugal::kernels {
namespace {

struct Moments {
  std::vector<double> squares, magnitudes, maximum;
};

Moments moments(const std::vector<float>& x, int64_t stride, int64_t rows, int64_t columns) {
  Moments m{std::vector<double>(columns, -1), std::vector<double>(columns, -1),
            std::vector<double>(columns, -1)};
  column_moments(x.data(), stride, rows, columns, m.squares.data(), m.magnitudes.data(),
                 m.maximum.data());
  return m;
}

TEST(ColumnMoments, EqualTheirDefinitions) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  const int64_t rows = 77, columns = 300, stride = 310;
  std::vector<float> x(static_cast<size_t>(rows * stride));
  for (float& value : x) value = normal(generator);
  const Moments found = moments(x, stride, rows, columns);
  for (int64_t j = 0; j < columns; ++j) {
    double squares = 0, magnitudes = 0, maximum = 0;
    for (int64_t i = 0; i < rows; ++i) {
      const double value = x[i * stride + j];
      squares += value * value;
      magnitudes += std::fabs(value);
      maximum = std::max(maximum, std::fabs(value));
    }
    // Sums of 32 in fp32: at most 33 roundings each.
    EXPECT_NEAR(found.squares[j], squares, squares * 33 * 0x1p-24);
    EXPECT_NEAR(found.magnitudes[j], magnitudes, magnitudes * 33 * 0x1p-24);
    EXPECT_EQ(found.maximum[j], maximum);
  }
}

TEST(ColumnMoments, NanAndInfinityReachTheSquares) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    std::vector<float> x(40 * 3, 1.0f);
    x[35 * 3 + 1] = bad;
    const Moments found = moments(x, 3, 40, 3);
    EXPECT_FALSE(std::isfinite(found.squares[1]));
    EXPECT_EQ(found.squares[0], 40);
    EXPECT_EQ(found.squares[2], 40);
  }
}

TEST(ColumnMoments, NoRowsAreZero) {
  const Moments found = moments({}, 2, 0, 2);
  EXPECT_EQ(found.squares, (std::vector<double>{0, 0}));
  EXPECT_EQ(found.maximum, (std::vector<double>{0, 0}));
}

}  // namespace
}  // namespace frugal::kernels
