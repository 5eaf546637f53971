#include "artifact/packed/packed_matrix.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "grid/float4.h"
#include "grid/float8.h"
#include "grid/half.h"

namespace frugal::artifact {
namespace {

using base::str_cat;

constexpr uint8_t kNotANumber8 = 0x7f;
constexpr uint8_t kSign8 = 0x80;

// E2M1: sign, 2 exponent bits (bias 1), 1 fraction bit.
constexpr std::array<float, 16> kFloat4 = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                           -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

int middle(const PackedMatrix& matrix) {
  return matrix.levels == PackedLevels::kInteger ? 1 << (matrix.bits - 1) : 0;
}

// The number that each code stands for, before zero point and scale.
std::vector<float> level_table(const PackedMatrix& matrix) {
  std::vector<float> table(size_t{1} << matrix.bits);
  for (size_t code = 0; code < table.size(); ++code) {
    switch (matrix.levels) {
      case PackedLevels::kInteger:
        table[code] = static_cast<float>(code);
        break;
      case PackedLevels::kFloat8: {
        const float size = grid::float8_magnitude_value(static_cast<int>(code & kNotANumber8));
        table[code] = (code & kSign8) != 0 ? -size : size;
        break;
      }
      case PackedLevels::kFloat4:
        table[code] = kFloat4[code];
        break;
    }
  }
  return table;
}

absl::Status check_codes(const PackedMatrix& matrix, const std::vector<uint8_t>& codes,
                         int64_t first) {
  if (matrix.levels != PackedLevels::kFloat8) return absl::OkStatus();
  for (size_t i = 0; i < codes.size(); ++i) {
    if ((codes[i] & kNotANumber8) != kNotANumber8) continue;
    return base::data_loss("it holds NaN at row ", first + static_cast<int64_t>(i) / matrix.columns,
                           ", column ", static_cast<int64_t>(i) % matrix.columns,
                           "; the file is damaged: copy or download it again");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint8_t>> read_codes(const PackedMatrix& matrix, int64_t first,
                                                int64_t count) {
  std::vector<uint8_t> codes(static_cast<size_t>(count * matrix.columns));
  matrix.read_codes(first, count, codes.data());
  FRUGAL_RETURN_IF_ERROR(check_codes(matrix, codes, first));
  return codes;
}

bool all_zeros_are_middle(const PackedMatrix& matrix) {
  return std::all_of(matrix.zeros.begin(), matrix.zeros.end(),
                     [&](uint8_t zero) { return zero == middle(matrix); });
}

// How many scales the grid's fp16 does not hold as they are.
absl::StatusOr<int64_t> count_foreign_scales(const PackedMatrix& matrix, bool affine) {
  int64_t foreign = 0;
  for (size_t i = 0; i < matrix.scales.size(); ++i) {
    const float scale = matrix.scales[i];
    if (!std::isfinite(scale)) {
      return base::data_loss("its scale at row ", static_cast<int64_t>(i) / matrix.groups(),
                             ", group ", static_cast<int64_t>(i) % matrix.groups(), " is ",
                             std::to_string(scale),
                             "; the file is damaged: copy or download it again");
    }
    if (grid::round_to_half(scale) != scale || (affine && scale < 0)) ++foreign;
  }
  return foreign;
}

uint8_t grid_code(PackedLevels levels, uint8_t code) {
  const int size = code & kNotANumber8;
  switch (levels) {
    case PackedLevels::kInteger:
      return code;
    case PackedLevels::kFloat8:
      return static_cast<uint8_t>(grid::kFloat8Zero +
                                  ((code & kSign8) != 0 ? -size : size) % (grid::kFloat8Zero + 1));
    case PackedLevels::kFloat4:
      return grid::float4_code(code);
  }
  return code;
}

// Codes of the grid for those of the matrix.
std::vector<uint8_t> code_map(const PackedMatrix& matrix) {
  std::vector<uint8_t> map(size_t{1} << matrix.bits);
  for (size_t code = 0; code < map.size(); ++code)
    map[code] = grid_code(matrix.levels, static_cast<uint8_t>(code));
  return map;
}

// The grid's levels of FP4 are doubled.
float grid_scale(const PackedMatrix& matrix, float scale) {
  return matrix.levels == PackedLevels::kFloat4 ? scale / 2 : scale;
}

// The grid of FP4 in groups of this size, and of this tensor scale.
std::string float4_grid(const PackedMatrix& matrix) {
  if (matrix.group == 16) return grid::nvfp4_name(matrix.tensor_scale);
  return matrix.group == 32 && matrix.tensor_scale == 1 ? "mxfp4" : "";
}

absl::StatusOr<GridChoice> choose_float4(const PackedMatrix& matrix) {
  const std::string name = float4_grid(matrix);
  if (name.empty() && matrix.group == 16)
    return GridChoice{{}, "its tensor scale is no power of two"};
  if (name.empty())
    return GridChoice{{}, str_cat("4-bit floats in groups of ", matrix.group, " have no grid")};
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(name, matrix.columns));
  const int64_t block = grid->spec().block_columns;
  if (matrix.columns % block != 0)
    return GridChoice{{}, str_cat("its rows of ", matrix.columns, " fill no blocks of ", block)};
  std::vector<std::byte> parameters(static_cast<size_t>(grid->spec().parameter_bytes));
  std::vector<float> stored(static_cast<size_t>(grid->spec().groups_per_block())), unused(stored);
  for (const float scale : matrix.scales) {
    const float wished = grid_scale(matrix, scale);
    grid->set_group(0, wished, 0, parameters.data());
    grid->expand(parameters.data(), stored.data(), unused.data());
    if (stored[0] != wished) return GridChoice{{}, "some of its scales are none of the grid"};
  }
  return GridChoice{name, ""};
}

}  // namespace

std::string describe(const PackedMatrix& matrix) {
  std::string text = str_cat(
      matrix.bits, matrix.levels == PackedLevels::kInteger ? "-bit integers, " : "-bit floats, ");
  text += matrix.group >= matrix.columns ? "whole rows" : str_cat("groups of ", matrix.group);
  if (!matrix.group_of.empty()) text += " in an order of their own";
  if (!all_zeros_are_middle(matrix)) text += ", zero points";
  if (matrix.int8_inputs) text += ", int8 inputs";
  return text;
}

absl::StatusOr<GridChoice> choose_grid(const PackedMatrix& matrix) {
  const bool affine = !all_zeros_are_middle(matrix);
  FRUGAL_ASSIGN_OR_RETURN(const int64_t foreign, count_foreign_scales(matrix, affine));
  if (!matrix.group_of.empty())
    return GridChoice{{}, "its groups are not neighboring columns (g_idx)"};
  if (matrix.levels == PackedLevels::kFloat4) return choose_float4(matrix);
  if (matrix.levels == PackedLevels::kInteger && matrix.bits != 2 && matrix.bits != 3 &&
      matrix.bits != 4 && matrix.bits != 8) {
    return GridChoice{{}, str_cat("integers of ", matrix.bits, " bits have no grid")};
  }
  if (matrix.columns % matrix.group != 0)
    return GridChoice{{}, str_cat("its last group is shorter than ", matrix.group)};
  if (matrix.group < 2) return GridChoice{{}, "its groups are single columns"};
  if (foreign > 0) return GridChoice{{}, "some of its scales are no fp16 numbers of the grid"};
  std::string name = matrix.levels == PackedLevels::kFloat8 ? "fp8" : str_cat("int", matrix.bits);
  name += matrix.group == matrix.columns ? ":row" : str_cat(":g", matrix.group);
  if (affine) name += ":asym";
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(name, matrix.columns));
  return GridChoice{grid->spec().name, ""};
}

absl::StatusOr<grid::QuantizedMatrix> codes_on_grid(const PackedMatrix& matrix,
                                                    const std::string& grid_name, int64_t first,
                                                    int64_t count) {
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(grid_name, matrix.columns));
  grid::QuantizedMatrix result = grid::empty_matrix(grid, count, matrix.columns);
  FRUGAL_ASSIGN_OR_RETURN(result.codes, read_codes(matrix, first, count));
  const std::vector<uint8_t> map = code_map(matrix);
  for (uint8_t& code : result.codes) code = map[code];
  const int64_t groups = matrix.groups(), each = grid->spec().groups_per_block();
  std::vector<float> scale(static_cast<size_t>(each)), offset(scale);
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t group = 0; group < groups; ++group) {
      const auto at = static_cast<size_t>((first + row) * groups + group);
      const auto g = static_cast<size_t>(group % each);
      scale[g] = grid_scale(matrix, matrix.scales[at]);
      offset[g] = grid->spec().affine ? -(scale[g] * static_cast<float>(matrix.zeros[at])) : 0.0f;
      if (group % each == each - 1)
        grid->snap(scale.data(), offset.data(), result.block_parameters(row, group / each));
    }
  }
  return result;
}

absl::StatusOr<std::vector<float>> decoded_rows(const PackedMatrix& matrix, int64_t first,
                                                int64_t count) {
  const std::vector<float> table = level_table(matrix);
  const int64_t groups = matrix.groups();
  constexpr int64_t kAtOnce = int64_t{1} << 20;  // codes
  const int64_t chunk = std::max<int64_t>(1, kAtOnce / matrix.columns);
  std::vector<float> values;
  values.reserve(static_cast<size_t>(count * matrix.columns));
  for (int64_t done = 0; done < count; done += chunk) {
    const int64_t some = std::min(chunk, count - done);
    FRUGAL_ASSIGN_OR_RETURN(const auto codes, read_codes(matrix, first + done, some));
    for (int64_t i = 0; i < some * matrix.columns; ++i) {
      const int64_t row = first + done + i / matrix.columns, column = i % matrix.columns;
      const auto at = static_cast<size_t>(row * groups + matrix.group_of_column(column));
      const int zero = matrix.zeros.empty() ? middle(matrix) : matrix.zeros[at];
      values.push_back((table[codes[static_cast<size_t>(i)]] - static_cast<float>(zero)) *
                       matrix.scales[at]);
    }
  }
  return values;
}

}  // namespace frugal::artifact
