// Rounds a matrix to a grid, for comparisons with other encoders (against_ggml.py).
//
//   frugal_encode_file GRID SEARCH WEIGHTS ROWS COLUMNS OUT [REPEATS]
//
// SEARCH: fast or full, with -plain appended (fast-plain) to leave the importance out. WEIGHTS:
// fp32 [ROWS, COLUMNS], then importance fp32 [COLUMNS]. OUT: the packed blocks. Prints the least
// CPU seconds of REPEATS (1) runs of rounding and packing, on as many threads as OpenMP takes.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "base/process.h"
#include "grid/grid.h"

int main(int argc, char** argv) {
  using namespace frugal;
  if (argc != 7 && argc != 8) {
    std::fprintf(stderr,
                 "usage: frugal_encode_file GRID SEARCH WEIGHTS ROWS COLUMNS OUT [REPEATS]\n");
    return 2;
  }
  const std::string search = argv[2];
  const int64_t rows = std::stoll(argv[4]);
  const int64_t columns = std::stoll(argv[5]);
  std::vector<float> weights(rows * columns), importance(columns);
  std::ifstream in(argv[3], std::ios::binary);
  in.read(reinterpret_cast<char*>(weights.data()), weights.size() * sizeof(float));
  in.read(reinterpret_cast<char*>(importance.data()), importance.size() * sizeof(float));
  const auto grid = grid::find_grid(argv[1], columns);
  if (!in || !grid.ok()) {
    std::fprintf(stderr, "%s: %s\n", argv[3],
                 in ? grid.status().ToString().c_str() : "cannot be read or is too short");
    return 1;
  }
  if (search.ends_with("-plain")) importance.clear();
  std::vector<std::byte> blocks;
  double least = std::numeric_limits<double>::infinity();
  for (int repeat = argc == 8 ? std::stoi(argv[7]) : 1; repeat > 0; --repeat) {
    const double start = base::cpu_seconds();
    const auto matrix = grid::round_to_nearest(
        *grid, weights.data(), rows, columns, importance,
        search.starts_with("fast") ? grid::ScaleSearch::kFast : grid::ScaleSearch::kFull);
    if (!matrix.ok()) {
      std::fprintf(stderr, "%s\n", matrix.status().ToString().c_str());
      return 1;
    }
    blocks = grid::pack_matrix(*matrix);
    least = std::min(least, base::cpu_seconds() - start);
  }
  std::printf("%.9f\n", least);
  std::ofstream out(argv[6], std::ios::binary);
  out.write(reinterpret_cast<const char*>(blocks.data()),
            static_cast<std::streamsize>(blocks.size()));
  return out ? 0 : 1;
}
