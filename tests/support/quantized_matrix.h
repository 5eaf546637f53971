// A matrix rounded to a grid, for exporters.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "grid/grid.h"

namespace frugal::test {

inline grid::QuantizedMatrix random_matrix(std::string_view grid_name, int64_t rows,
                                           int64_t columns) {
  base::RandomStream random(11, grid_name);
  std::vector<float> weights(rows * columns);
  for (float& weight : weights) weight = static_cast<float>(random.normal());
  const auto grid = grid::find_grid(grid_name, columns).value();
  return grid::round_to_nearest(grid, weights.data(), rows, columns, {}, true).value();
}

inline std::vector<float> decoded(const grid::QuantizedMatrix& matrix) {
  std::vector<float> values(matrix.rows * matrix.columns);
  grid::decode_matrix(matrix, values.data());
  return values;
}

}  // namespace frugal::test
