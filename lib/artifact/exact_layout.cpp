#include "artifact/exact_layout.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace frugal::artifact {

namespace {

using base::invalid_argument;

// Code of `target` for each code of `source`, or -1 where the target lacks the level.
std::vector<int> code_map(const grid::GridSpec& source, const grid::GridSpec& target) {
  std::vector<int> map(source.levels.size(), -1);
  for (size_t code = 0; code < source.levels.size(); ++code) {
    const auto found =
        std::lower_bound(target.levels.begin(), target.levels.end(), source.levels[code]);
    if (found != target.levels.end() && *found == source.levels[code]) {
      map[code] = static_cast<int>(found - target.levels.begin());
    }
  }
  return map;
}

// Scales and offsets of one row, one pair per `step` columns.
struct RowScales {
  std::vector<float> scale, offset;
};

RowScales expand_row(const grid::QuantizedMatrix& matrix, int64_t row, int64_t step) {
  const grid::GridSpec& spec = matrix.grid->spec();
  const int64_t groups = spec.groups_per_block();
  std::vector<float> scale(groups), offset(groups);
  RowScales result;
  for (int64_t block = 0; block < matrix.blocks_per_row(); ++block) {
    matrix.grid->expand(matrix.block_parameters(row, block), scale.data(), offset.data());
    for (int64_t column = 0; column < spec.block_columns; column += step) {
      result.scale.push_back(scale[column / spec.group_columns]);
      result.offset.push_back(offset[column / spec.group_columns]);
    }
  }
  return result;
}

absl::Status set_block(const RowScales& wished, int64_t block, grid::QuantizedMatrix& result,
                       int64_t row) {
  const grid::GridSpec& spec = result.grid->spec();
  const int64_t groups = spec.groups_per_block();
  std::byte* parameters = result.block_parameters(row, block);
  result.grid->snap(&wished.scale[block * groups], &wished.offset[block * groups], parameters);
  std::vector<float> scale(groups), offset(groups);
  result.grid->expand(parameters, scale.data(), offset.data());
  for (int64_t g = 0; g < groups; ++g) {
    if (scale[g] != wished.scale[block * groups + g] ||
        offset[g] != wished.offset[block * groups + g]) {
      return invalid_argument("cannot move a matrix to grid ", spec.name,
                              " exactly: the scale at row ", row, ", column ",
                              block * spec.block_columns + g * spec.group_columns,
                              " is not representable there");
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> gguf_grid_names() {
  constexpr int64_t kAnyRow = 256;
  std::vector<std::string> names;
  for (const grid::GridHelp& help : grid::grid_help()) {
    const auto found = grid::find_grid(help.name.substr(0, help.name.find('[')), kAnyRow);
    if (found.ok() && (*found)->spec().ggml_type.has_value())
      names.push_back((*found)->spec().name);
  }
  return names;
}

bool is_gguf_grid(std::string_view name) {
  constexpr int64_t kAnyRow = 256;
  const auto found = grid::find_grid(name, kAnyRow);
  return found.ok() && (*found)->spec().ggml_type.has_value();
}

absl::Status no_gguf_layout(std::string_view weight, std::string_view grid_name) {
  std::string names;
  for (const std::string& name : gguf_grid_names()) names += name + ", ";
  return invalid_argument("cannot write ", weight, " to GGUF: no layout there holds grid ",
                          grid_name, " exactly; quantize to one of ", names,
                          "or to int4 or int8 with symmetric groups of 32");
}

absl::StatusOr<std::optional<std::string>> gguf_grid_for(std::string_view grid_name,
                                                         int64_t row_columns) {
  FRUGAL_ASSIGN_OR_RETURN(const auto source, grid::find_grid(grid_name, row_columns));
  if (source->spec().ggml_type.has_value()) return source->spec().name;
  if (source->spec().affine) return std::nullopt;
  for (const std::string& candidate : gguf_grid_names()) {
    FRUGAL_ASSIGN_OR_RETURN(const auto target, grid::find_grid(candidate, row_columns));
    const bool same_levels =
        target->spec().free_scale && source->spec().levels == target->spec().levels;
    if (same_levels && source->spec().group_columns % target->spec().group_columns == 0) {
      return target->spec().name;
    }
  }
  return std::nullopt;
}

absl::StatusOr<grid::QuantizedMatrix> move_exactly(const grid::QuantizedMatrix& matrix,
                                                   std::shared_ptr<const grid::Grid> target) {
  const grid::GridSpec& from = matrix.grid->spec();
  const grid::GridSpec& to = target->spec();
  if (from.name == to.name) return matrix;
  if (from.group_columns % to.group_columns != 0) {
    return invalid_argument("cannot move a matrix from grid ", from.name, " (groups of ",
                            from.group_columns, ") to ", to.name, " (groups of ", to.group_columns,
                            "): the groups do not nest");
  }
  FRUGAL_RETURN_IF_ERROR(grid::check_columns(to, matrix.columns, "a matrix to be exported"));
  const std::vector<int> map = code_map(from, to);
  grid::QuantizedMatrix result = grid::empty_matrix(std::move(target), matrix.rows, matrix.columns);
  for (int64_t row = 0; row < matrix.rows; ++row) {
    const RowScales scales = expand_row(matrix, row, to.group_columns);
    for (int64_t block = 0; block < result.blocks_per_row(); ++block) {
      FRUGAL_RETURN_IF_ERROR(set_block(scales, block, result, row));
    }
    for (int64_t column = 0; column < matrix.columns; ++column) {
      const int code = map[matrix.codes[row * matrix.columns + column]];
      if (code < 0) {
        return invalid_argument("cannot move a matrix to grid ", to.name,
                                " exactly: it has no level for the code at row ", row, ", column ",
                                column);
      }
      result.codes[row * matrix.columns + column] = static_cast<uint8_t>(code);
    }
  }
  return result;
}

}  // namespace frugal::artifact
