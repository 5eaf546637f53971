// Whole matrices on a grid: allocation, packing, decoding, round to nearest.
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>

#include "grid/float4.h"
#include "grid/grid.h"

namespace frugal::grid {
namespace {

// Rows of parameters, codes and bytes side by side.
int64_t parameter_row_bytes(const QuantizedMatrix& matrix) {
  return matrix.blocks_per_row() * matrix.grid->spec().parameter_bytes;
}

absl::Status check_shape(const GridSpec& spec, int64_t rows, int64_t columns) {
  FRUGAL_RETURN_IF_ERROR(check_columns(spec, columns, "matrix"));
  if (rows < 0) return base::invalid_argument("a matrix cannot have ", rows, " rows");
  return absl::OkStatus();
}

// The first row that holds NaN or infinity, or `rows`.
int64_t first_bad_row(const float* weights, int64_t rows, int64_t columns) {
  constexpr uint32_t kInfinite = 0x7f800000;  // the exponent of infinity and NaN
  std::atomic<int64_t> bad = rows;
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < rows; ++row) {
    const float* values = weights + row * columns;
    uint32_t found = 0;
    for (int64_t i = 0; i < columns; ++i) {
      const uint32_t exponent = std::bit_cast<uint32_t>(values[i]) & kInfinite;
      found |= exponent == kInfinite ? 1u : 0u;
    }
    if (found == 0) continue;
    int64_t known = bad.load();
    while (row < known && !bad.compare_exchange_weak(known, row)) {
    }
  }
  return bad;
}

// Fits and encodes ranges of a matrix's blocks, counted row by row.
struct BlockRounding {
  static constexpr int64_t kAtOnce = 64;  // packs of sixteen groups, and few calls

  const float* weights;
  std::span<const float> importance;
  ScaleSearch search;
  QuantizedMatrix& matrix;

  void round(int64_t first, int64_t last) const {
    const GridSpec& spec = matrix.grid->spec();
    std::array<BlockToFit, kAtOnce> blocks;
    for (int64_t i = first; i < last; ++i) {
      const int64_t column = i % matrix.blocks_per_row() * spec.block_columns;
      blocks[i - first] = {.x = weights + i * spec.block_columns,
                           .importance = importance.empty() ? nullptr : &importance[column],
                           .parameters = matrix.parameters.data() + i * spec.parameter_bytes};
    }
    const std::span<const BlockToFit> all(blocks.data(), static_cast<size_t>(last - first));
    fit(all);
    uint8_t* codes = matrix.codes.data() + first * spec.block_columns;
    for (const BlockToFit& block : all) {
      matrix.grid->encode(block.x, block.parameters, codes);
      codes += spec.block_columns;
    }
  }

 private:
  void fit(std::span<const BlockToFit> blocks) const {
    if (search == ScaleSearch::kFast) return matrix.grid->fit_fast(blocks);
    const auto width = static_cast<size_t>(matrix.grid->spec().block_columns);
    for (const BlockToFit& block : blocks) {
      const std::span<const float> weighted(block.importance,
                                            block.importance == nullptr ? 0 : width);
      matrix.grid->fit({block.x, width}, weighted, search == ScaleSearch::kFull, block.parameters);
    }
  }
};

}  // namespace

absl::Status check_columns(const GridSpec& spec, int64_t columns, std::string_view tensor_name) {
  if (columns > 0 && columns % spec.block_columns == 0) return absl::OkStatus();
  return base::invalid_argument(
      tensor_name, ": rows of ", columns, " columns do not fit grid '", spec.name,
      "', whose blocks have ", spec.block_columns, "; choose a grid whose block divides ", columns,
      " (q4_0, q8_0 and iq4_nl have blocks of 32, ", "int4:row and int8:row take any row)");
}

std::byte* QuantizedMatrix::block_parameters(int64_t row, int64_t block) {
  return parameters.data() + (row * blocks_per_row() + block) * grid->spec().parameter_bytes;
}
const std::byte* QuantizedMatrix::block_parameters(int64_t row, int64_t block) const {
  return parameters.data() + (row * blocks_per_row() + block) * grid->spec().parameter_bytes;
}

QuantizedMatrix empty_matrix(std::shared_ptr<const Grid> grid, int64_t rows, int64_t columns) {
  QuantizedMatrix matrix{
      .grid = std::move(grid), .rows = rows, .columns = columns, .codes = {}, .parameters = {}};
  matrix.codes.resize(static_cast<size_t>(rows * columns));
  matrix.parameters.resize(static_cast<size_t>(rows * parameter_row_bytes(matrix)));
  return matrix;
}

std::vector<std::byte> pack_matrix(const QuantizedMatrix& matrix) {
  const GridSpec& spec = matrix.grid->spec();
  std::vector<std::byte> blocks(static_cast<size_t>(matrix.rows * matrix.row_bytes()));
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < matrix.rows; ++row) {
    for (int64_t b = 0; b < matrix.blocks_per_row(); ++b) {
      matrix.grid->pack(matrix.block_parameters(row, b),
                        matrix.codes.data() + row * matrix.columns + b * spec.block_columns,
                        blocks.data() + row * matrix.row_bytes() + b * spec.block_bytes);
    }
  }
  return blocks;
}

absl::StatusOr<QuantizedMatrix> unpack_matrix(std::shared_ptr<const Grid> grid, int64_t rows,
                                              int64_t columns, std::span<const std::byte> blocks) {
  const GridSpec& spec = grid->spec();
  FRUGAL_RETURN_IF_ERROR(check_shape(spec, rows, columns));
  int64_t expected = 0;
  if (__builtin_mul_overflow(columns / spec.block_columns, spec.block_bytes, &expected) ||
      __builtin_mul_overflow(expected, rows, &expected) ||
      expected != static_cast<int64_t>(blocks.size())) {
    return base::invalid_argument("a matrix of ", rows, " x ", columns, " on grid '", spec.name,
                                  "' takes ", expected, " bytes, found ", blocks.size());
  }
  QuantizedMatrix matrix = empty_matrix(std::move(grid), rows, columns);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t b = 0; b < matrix.blocks_per_row(); ++b) {
      const std::byte* const block =
          blocks.data() + row * matrix.row_bytes() + b * spec.block_bytes;
      std::byte* const parameters = matrix.block_parameters(row, b);
      const bool readable = matrix.grid->readable(block);
      if (readable) {
        matrix.grid->unpack(block, parameters,
                            matrix.codes.data() + row * columns + b * spec.block_columns);
        if (matrix.grid->valid(parameters)) continue;
      }
      return base::data_loss("row ", row, ", block ", b, " of a matrix on grid '", spec.name,
                             "' holds ", readable ? "parameters" : "codes",
                             " outside the grid's range; the file is damaged");
    }
  }
  return matrix;
}

void decode_matrix(const QuantizedMatrix& matrix, float* out) {
  const int64_t width = matrix.grid->spec().block_columns;
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < matrix.rows; ++row) {
    for (int64_t b = 0; b < matrix.blocks_per_row(); ++b) {
      const int64_t start = row * matrix.columns + b * width;
      matrix.grid->decode(matrix.block_parameters(row, b), matrix.codes.data() + start,
                          out + start);
    }
  }
}

absl::StatusOr<QuantizedMatrix> round_to_nearest(std::shared_ptr<const Grid> grid,
                                                 const float* weights, int64_t rows,
                                                 int64_t columns, std::span<const float> importance,
                                                 ScaleSearch search) {
  const GridSpec& spec = grid->spec();
  FRUGAL_RETURN_IF_ERROR(check_shape(spec, rows, columns));
  if (!importance.empty() && static_cast<int64_t>(importance.size()) != columns) {
    return base::invalid_argument("importance has ", importance.size(), " entries for ", columns,
                                  " columns");
  }
  if (const int64_t bad = first_bad_row(weights, rows, columns); bad < rows) {
    return base::invalid_argument("cannot quantize: row ", bad,
                                  " holds NaN or infinity; repair the checkpoint");
  }
  FRUGAL_RETURN_IF_ERROR(check_range(spec, weights, rows * columns));
  QuantizedMatrix matrix = empty_matrix(std::move(grid), rows, columns);
  const BlockRounding rounding{weights, importance, search, matrix};
  const int64_t blocks = rows * matrix.blocks_per_row();
#pragma omp parallel for schedule(static)
  for (int64_t first = 0; first < blocks; first += BlockRounding::kAtOnce)
    rounding.round(first, std::min(blocks, first + BlockRounding::kAtOnce));
  return matrix;
}

absl::StatusOr<QuantizedMatrix> round_to_nearest(std::shared_ptr<const Grid> grid,
                                                 const float* weights, int64_t rows,
                                                 int64_t columns, std::span<const float> importance,
                                                 bool search) {
  return round_to_nearest(std::move(grid), weights, rows, columns, importance,
                          search ? ScaleSearch::kFull : ScaleSearch::kNone);
}

}  // namespace frugal::grid
