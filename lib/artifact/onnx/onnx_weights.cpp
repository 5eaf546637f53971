#include "artifact/onnx/onnx_weights.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "grid/group_options.h"

namespace frugal::artifact {

namespace {

using base::invalid_argument;

// The level that code 0 of a field stands for.
int64_t origin(bool affine, int64_t bits) { return affine ? 0 : -(int64_t{1} << (bits - 1)); }

// The narrowest of the operator's fields that holds all levels; 0 where none does.
int64_t field_bits(const grid::GridSpec& spec) {
  for (const int64_t bits : {2, 4, 8}) {
    const auto first = static_cast<float>(origin(spec.affine, bits));
    const float last = first + static_cast<float>((int64_t{1} << bits) - 1);
    if (spec.levels.front() >= first && spec.levels.back() <= last) return bits;
  }
  return 0;
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

}  // namespace

absl::StatusOr<NBitsLayout> nbits_layout(const grid::GridSpec& spec) {
  NBitsLayout layout;
  layout.bits = spec.uniform ? field_bits(spec) : 0;
  if (layout.bits == 0) {
    return invalid_argument(
        "grid ", spec.name,
        " has no layout in ONNX's MatMulNBits, which holds (q - zero_point) * scale with "
        "consecutive integers q of up to 8 bits; quantize to int2 to int8, q3_k, q4_0, q5_0, q6_k "
        "or "
        "q8_0");
  }
  layout.block_size = spec.group_columns;
  layout.zero_points = spec.affine;
  if (layout.block_size < 16 || !std::has_single_bit(static_cast<uint64_t>(layout.block_size))) {
    return invalid_argument("grid ", spec.name, " has groups of ", layout.block_size,
                            " columns; ONNX's MatMulNBits takes powers of two "
                            "from 16 on");
  }
  if (spec.affine && !spec.holds_zero) {
    return invalid_argument(
        "grid ", spec.name,
        " has offsets that are no multiple of the scale, which ONNX's MatMulNBits cannot hold; "
        "quantize to int4:asym or q4_0");
  }
  return layout;
}

absl::StatusOr<NBitsMatrix> to_nbits(const grid::QuantizedMatrix& matrix,
                                     const NBitsLayout& layout) {
  const grid::GridSpec& spec = matrix.grid->spec();
  const int64_t blocks = matrix.columns / layout.block_size;
  const auto first = static_cast<float>(origin(spec.affine, layout.bits));
  std::vector<uint8_t> unsigned_of;
  for (const float level : spec.levels)
    unsigned_of.push_back(static_cast<uint8_t>(std::lround(level - first)));
  NBitsMatrix result;
  const int64_t row_bytes = matrix.columns * layout.bits / 8;
  const int64_t zero_bytes = (blocks * layout.bits + 7) / 8;
  result.values.resize(matrix.rows * row_bytes);
  result.scales.resize(matrix.rows * blocks);
  if (layout.zero_points) result.zero_points.assign(matrix.rows * zero_bytes, 0);
  const int64_t groups = spec.groups_per_block();
  const int bits = static_cast<int>(layout.bits);
  std::vector<float> scale(groups), offset(groups);
  std::vector<uint8_t> fields(matrix.columns), zeros(blocks);
  std::vector<std::byte> packed(row_bytes);
  for (int64_t row = 0; row < matrix.rows; ++row) {
    for (int64_t i = 0; i < matrix.columns; ++i)
      fields[i] = unsigned_of[matrix.codes[row * matrix.columns + i]];
    grid::pack_bits(bits, fields.data(), matrix.columns, packed.data());
    std::memcpy(&result.values[row * row_bytes], packed.data(), packed.size());
    for (int64_t block = 0; block < blocks; ++block) {
      if (block % groups == 0)
        matrix.grid->expand(matrix.block_parameters(row, block / groups), scale.data(),
                            offset.data());
      const float s = scale[block % groups];
      result.scales[row * blocks + block] = s;
      if (!layout.zero_points) continue;
      const float zero = s == 0.0f ? 0.0f : -offset[block % groups] / s;
      const bool is_code = zero >= 0 && zero < static_cast<float>(int64_t{1} << layout.bits) &&
                           zero == std::nearbyint(zero);
      if (!is_code) {
        return invalid_argument("cannot write row ", row, ", block ", block, " of grid ", spec.name,
                                " as MatMulNBits: its zero point ", zero, " is no integer code");
      }
      zeros[block] = static_cast<uint8_t>(zero);
    }
    if (!layout.zero_points) continue;
    grid::pack_bits(bits, zeros.data(), blocks, packed.data());
    std::memcpy(&result.zero_points[row * zero_bytes], packed.data(), zero_bytes);
  }
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
