// Whole matrices on a grid: allocation, packing, decoding, round to nearest.
#include <atomic>
#include <cmath>

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
  std::atomic<int64_t> bad = rows;
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < rows; ++row) {
    const float* values = weights + row * columns;
    float zeros = 0;
    for (int64_t i = 0; i < columns; ++i)
      zeros += values[i] * 0.0f;  // NaN as soon as one value is not finite
    if (zeros == 0.0f) continue;
    int64_t known = bad.load();
    while (row < known && !bad.compare_exchange_weak(known, row)) {
    }
  }
  return bad;
}

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
                                                 bool search) {
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
  QuantizedMatrix matrix = empty_matrix(std::move(grid), rows, columns);
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t b = 0; b < matrix.blocks_per_row(); ++b) {
      const int64_t start = b * spec.block_columns;
      const float* x = weights + row * columns + start;
      std::byte* const parameters = matrix.block_parameters(row, b);
      matrix.grid->fit(
          {x, static_cast<size_t>(spec.block_columns)},
          importance.empty() ? importance : importance.subspan(start, spec.block_columns), search,
          parameters);
      matrix.grid->encode(x, parameters, matrix.codes.data() + row * columns + start);
    }
  }
  return matrix;
}

}  // namespace frugal::grid
