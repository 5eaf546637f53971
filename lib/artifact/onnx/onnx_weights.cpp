#include "artifact/onnx/onnx_weights.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <string_view>

#include "grid/group_options.h"

namespace frugal::artifact {

namespace {

using base::invalid_argument;

// The level that code 0 of a field stands for.
int64_t origin(bool affine, int64_t bits) { return affine ? 0 : -(int64_t{1} << (bits - 1)); }

// The narrowest of these fields that holds all levels; 0 where none does.
int64_t field_bits(const grid::GridSpec& spec, std::initializer_list<int64_t> fields) {
  for (const int64_t bits : fields) {
    const auto first = static_cast<float>(origin(spec.affine, bits));
    const float last = first + static_cast<float>((int64_t{1} << bits) - 1);
    if (spec.levels.front() >= first && spec.levels.back() <= last) return bits;
  }
  return 0;
}

// Of an operator that takes any number of columns in a block.
absl::StatusOr<NBitsLayout> layout_in(const grid::GridSpec& spec, std::string_view op,
                                      std::initializer_list<int64_t> fields) {
  const NBitsLayout layout{.bits = spec.uniform ? field_bits(spec, fields) : 0,
                           .block_size = spec.group_columns,
                           .zero_points = spec.affine};
  if (layout.bits == 0) {
    return invalid_argument(
        "grid ", spec.name, " has no layout in ONNX's ", op,
        ", which holds (q - zero_point) * scale with "
        "consecutive integers q of up to 8 bits; quantize to int2 to int8, q3_k, q4_0, q5_0, q6_k "
        "or q8_0");
  }
  return layout;
}

absl::Status check_zero_points(const grid::GridSpec& spec, std::string_view op) {
  if (!spec.affine || spec.holds_zero) return absl::OkStatus();
  return invalid_argument("grid ", spec.name,
                          " has offsets that are no multiple of the scale, which ONNX's ", op,
                          " cannot hold; quantize to int4:asym or q4_0");
}

template <typename T>
std::vector<T> transpose(const std::vector<T>& matrix, int64_t rows, int64_t columns) {
  constexpr int64_t kTile = 32;  // both sides of a tile stay in the first-level cache
  std::vector<T> result(matrix.size());
  for (int64_t r0 = 0; r0 < rows; r0 += kTile) {
    for (int64_t c0 = 0; c0 < columns; c0 += kTile) {
      for (int64_t r = r0; r < std::min(rows, r0 + kTile); ++r) {
        for (int64_t c = c0; c < std::min(columns, c0 + kTile); ++c)
          result[c * rows + r] = matrix[r * columns + c];
      }
    }
  }
  return result;
}

// Rows of a matrix in a layout's terms, a byte for every integer.
class RowReader {
 public:
  RowReader(const grid::QuantizedMatrix& matrix, const NBitsLayout& layout)
      : matrix_(matrix),
        layout_(layout),
        scale_(matrix.grid->spec().groups_per_block()),
        offset_(scale_.size()) {
    const auto first = static_cast<float>(origin(matrix.grid->spec().affine, layout.bits));
    for (const float level : matrix.grid->spec().levels)
      field_of_.push_back(static_cast<uint8_t>(std::lround(level - first)));
  }

  // fields [K]: q less the least integer of the layout.
  void read_fields(int64_t row, uint8_t* fields) const {
    const uint8_t* codes = &matrix_.codes[row * matrix_.columns];
    for (int64_t i = 0; i < matrix_.columns; ++i) fields[i] = field_of_[codes[i]];
  }

  // scales, zeros [K / block_size]; zeros are left alone where the layout has none.
  absl::Status read_parameters(int64_t row, float* scales, uint8_t* zeros) {
    const grid::GridSpec& spec = matrix_.grid->spec();
    const int64_t blocks = matrix_.columns / layout_.block_size;
    const int64_t groups = spec.groups_per_block();
    for (int64_t block = 0; block < blocks; ++block) {
      if (block % groups == 0)
        matrix_.grid->expand(matrix_.block_parameters(row, block / groups), scale_.data(),
                             offset_.data());
      const float s = scale_[block % groups];
      scales[block] = s;
      if (!layout_.zero_points) continue;
      const float zero = s == 0.0f ? 0.0f : -offset_[block % groups] / s;
      const bool is_code = zero >= 0 && zero < static_cast<float>(int64_t{1} << layout_.bits) &&
                           zero == std::nearbyint(zero);
      if (!is_code) {
        return invalid_argument("cannot write row ", row, ", block ", block, " of grid ", spec.name,
                                " as integers in blocks: its zero point ", zero,
                                " is no integer code");
      }
      zeros[block] = static_cast<uint8_t>(zero);
    }
    return absl::OkStatus();
  }

 private:
  const grid::QuantizedMatrix& matrix_;
  const NBitsLayout layout_;
  std::vector<uint8_t> field_of_;      // by code
  std::vector<float> scale_, offset_;  // of a block of the grid
};

// q less the least integer of `bits` bits, a byte each, as two's complement: that integer is half
// the range below 0. The upper bits of a byte follow the sign, and are cut off where it is packed.
void give_signs(std::vector<uint8_t>& fields, int64_t bits) {
  const int least = 1 << (bits - 1);
  for (uint8_t& field : fields) field = static_cast<uint8_t>(static_cast<int>(field) - least);
}

std::vector<uint8_t> packed(std::vector<uint8_t> fields, int64_t bits) {
  if (bits == 8) return fields;
  std::vector<uint8_t> bytes((fields.size() + 1) / 2);
  for (size_t i = 0; i < fields.size(); ++i)
    bytes[i / 2] |= static_cast<uint8_t>((fields[i] & 0xF) << (4 * (i % 2)));
  return bytes;
}

}  // namespace

absl::StatusOr<NBitsLayout> nbits_layout(const grid::GridSpec& spec) {
  FRUGAL_ASSIGN_OR_RETURN(const NBitsLayout layout, layout_in(spec, "MatMulNBits", {2, 4, 8}));
  if (layout.block_size < 16 || !std::has_single_bit(static_cast<uint64_t>(layout.block_size))) {
    return invalid_argument("grid ", spec.name, " has groups of ", layout.block_size,
                            " columns; ONNX's MatMulNBits takes powers of two "
                            "from 16 on");
  }
  FRUGAL_RETURN_IF_ERROR(check_zero_points(spec, "MatMulNBits"));
  return layout;
}

absl::StatusOr<NBitsLayout> dequantize_layout(const grid::GridSpec& spec) {
  FRUGAL_ASSIGN_OR_RETURN(const NBitsLayout layout, layout_in(spec, "DequantizeLinear", {4, 8}));
  FRUGAL_RETURN_IF_ERROR(check_zero_points(spec, "DequantizeLinear"));
  return layout;
}

absl::StatusOr<NBitsMatrix> to_nbits(const grid::QuantizedMatrix& matrix,
                                     const NBitsLayout& layout) {
  RowReader reader(matrix, layout);
  const int64_t blocks = matrix.columns / layout.block_size;
  NBitsMatrix result;
  const int64_t row_bytes = matrix.columns * layout.bits / 8;
  const int64_t zero_bytes = (blocks * layout.bits + 7) / 8;
  result.values.resize(matrix.rows * row_bytes);
  result.scales.resize(matrix.rows * blocks);
  if (layout.zero_points) result.zero_points.assign(matrix.rows * zero_bytes, 0);
  const int bits = static_cast<int>(layout.bits);
  std::vector<uint8_t> fields(matrix.columns), zeros(blocks);
  std::vector<std::byte> packed(row_bytes);
  for (int64_t row = 0; row < matrix.rows; ++row) {
    reader.read_fields(row, fields.data());
    grid::pack_bits(bits, fields.data(), matrix.columns, packed.data());
    std::memcpy(&result.values[row * row_bytes], packed.data(), packed.size());
    FRUGAL_RETURN_IF_ERROR(reader.read_parameters(row, &result.scales[row * blocks], zeros.data()));
    if (!layout.zero_points) continue;
    grid::pack_bits(bits, zeros.data(), blocks, packed.data());
    std::memcpy(&result.zero_points[row * zero_bytes], packed.data(), zero_bytes);
  }
  return result;
}

absl::StatusOr<BlockMatrix> to_blocks(const grid::QuantizedMatrix& matrix,
                                      const NBitsLayout& layout, BlockOrder order) {
  RowReader reader(matrix, layout);
  const int64_t blocks = matrix.columns / layout.block_size;
  BlockMatrix result{std::vector<uint8_t>(matrix.rows * matrix.columns),
                     std::vector<float>(matrix.rows * blocks),
                     std::vector<uint8_t>(layout.zero_points ? matrix.rows * blocks : 0)};
  std::vector<uint8_t> zeros(blocks);
  for (int64_t row = 0; row < matrix.rows; ++row) {
    reader.read_fields(row, &result.values[row * matrix.columns]);
    FRUGAL_RETURN_IF_ERROR(reader.read_parameters(row, &result.scales[row * blocks], zeros.data()));
    if (layout.zero_points) std::ranges::copy(zeros, &result.zero_points[row * blocks]);
  }
  if (!layout.zero_points) give_signs(result.values, layout.bits);
  if (order == BlockOrder::kRows) return result;
  result.values = packed(transpose(result.values, matrix.rows, matrix.columns), layout.bits);
  result.scales = transpose(result.scales, matrix.rows, blocks);
  if (layout.zero_points)
    result.zero_points = packed(transpose(result.zero_points, matrix.rows, blocks), layout.bits);
  return result;
}

std::vector<float> transposed(const std::vector<float>& matrix, int64_t rows, int64_t columns) {
  return transpose(matrix, rows, columns);
}

Int8Matrix to_int8(const grid::QuantizedMatrix& matrix) {
  constexpr int kOrigin = 128;  // the code of level 0
  std::vector<int8_t> values(matrix.codes.size());
  std::transform(matrix.codes.begin(), matrix.codes.end(), values.begin(), [](uint8_t code) {
    return static_cast<int8_t>(static_cast<int>(code) - kOrigin);
  });
  Int8Matrix result{transpose(values, matrix.rows, matrix.columns),
                    std::vector<float>(matrix.rows)};
  for (int64_t row = 0; row < matrix.rows; ++row) {
    float offset = 0;
    matrix.grid->expand(matrix.block_parameters(row, 0), &result.scales[row], &offset);
  }
  return result;
}

}  // namespace frugal::artifact
