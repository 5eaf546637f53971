// Rounds a matrix to a grid, for comparisons with other encoders (against_ggml.py).
//
//   frugal_encode_file GRID WEIGHTS ROWS COLUMNS OUT
//
// WEIGHTS: fp32 [ROWS, COLUMNS], then importance fp32 [COLUMNS]. OUT: the packed blocks.
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "grid/grid.h"

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: frugal_encode_file GRID WEIGHTS ROWS COLUMNS OUT\n");
    return 2;
  }
  const int64_t rows = std::stoll(argv[3]);
  const int64_t columns = std::stoll(argv[4]);
  std::vector<float> weights(rows * columns), importance(columns);
  std::ifstream in(argv[2], std::ios::binary);
  in.read(reinterpret_cast<char*>(weights.data()), weights.size() * sizeof(float));
  in.read(reinterpret_cast<char*>(importance.data()), importance.size() * sizeof(float));
  const auto grid = frugal::grid::find_grid(argv[1], columns);
  if (!in || !grid.ok()) {
    std::fprintf(stderr, "%s: %s\n", argv[2],
                 in ? grid.status().ToString().c_str() : "cannot be read or is too short");
    return 1;
  }
  const auto matrix =
      frugal::grid::round_to_nearest(*grid, weights.data(), rows, columns, importance, true);
  if (!matrix.ok()) {
    std::fprintf(stderr, "%s\n", matrix.status().ToString().c_str());
    return 1;
  }
  const std::vector<std::byte> blocks = frugal::grid::pack_matrix(*matrix);
  std::ofstream out(argv[5], std::ios::binary);
  out.write(reinterpret_cast<const char*>(blocks.data()),
            static_cast<std::streamsize>(blocks.size()));
  return out ? 0 : 1;
}
