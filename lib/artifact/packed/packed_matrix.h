// A matrix that another tool has quantized: codes, scales and zero points, whatever their layout in
// the files. w = scale[row, group] * (level(code) - zero[row, group]).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "grid/grid.h"

namespace frugal::artifact {

enum class PackedLevels {
  kInteger,  // level(code) = code, 0 to 2^bits - 1; without zero points 2^(bits - 1) is zero
  kFloat8,   // the E4M3 number whose byte the code is (grid/float8.h)
  kFloat4,   // the E2M1 number whose four bits the code is (OCP microscaling formats)
};

struct PackedMatrix {
  int64_t rows = 0, columns = 0;
  PackedLevels levels = PackedLevels::kInteger;
  int bits = 4;
  int64_t group = 0;              // columns that share a scale; the last group may be shorter
  std::vector<int32_t> group_of;  // by column; empty: column / group
  std::vector<float> scales;      // [rows, groups]
  std::vector<uint8_t> zeros;     // [rows, groups]; empty: 2^(bits - 1), and 0 for floats
  float tensor_scale = 1;         // of FP4: `scales` are FP8 numbers times it
  bool int8_inputs = false;       // whoever runs it rounds inputs per token to int8
  // Codes of `count` rows from `first` on, [count, columns]. The folder's files must be open.
  std::function<void(int64_t first, int64_t count, uint8_t* codes)> read_codes;
  std::vector<std::string> tensors;  // of the files, that it is made of

  int64_t groups() const { return (columns + group - 1) / group; }
  int64_t group_of_column(int64_t column) const {
    return group_of.empty() ? column / group : group_of[static_cast<size_t>(column)];
  }
};

// For people: "4-bit integers, groups of 128, zero points".
std::string describe(const PackedMatrix& matrix);

// The grid of the house that holds the codes and scales exactly; absent: none does, and `reason`
// says why, for people: "3 of its scales are no fp16 numbers".
struct GridChoice {
  std::optional<std::string> grid;
  std::string reason;
};
// Errors: scales that are NaN or infinite, with their place.
absl::StatusOr<GridChoice> choose_grid(const PackedMatrix& matrix);

// Rows [first, first + count) on the chosen grid. Errors: a byte that is no number (FP8's NaN).
absl::StatusOr<grid::QuantizedMatrix> codes_on_grid(const PackedMatrix& matrix,
                                                    const std::string& grid_name, int64_t first,
                                                    int64_t count);

// The same rows as fp32 [count, columns], each product rounded once; exact for scales of fp16 and
// bf16. Errors: as above.
absl::StatusOr<std::vector<float>> decoded_rows(const PackedMatrix& matrix, int64_t first,
                                                int64_t count);

}  // namespace frugal::artifact
