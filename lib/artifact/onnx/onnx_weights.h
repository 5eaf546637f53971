// Weights of an ONNX graph: float matrices transposed for MatMul, integer groups as MatMulNBits or
// DequantizeLinear wants them. Internal to export.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "grid/grid.h"

namespace frugal::artifact {

// How a grid maps to operators on blocks of integers (MatMulNBits and GatherBlockQuantized, or
// DequantizeLinear): value = (q - zero_point) * scale with q of `bits` bits.
struct NBitsLayout {
  int64_t bits = 4;
  int64_t block_size = 32;
  bool zero_points = false;  // one per block; without, 2^(bits-1), and 0 where q has a sign
};

// The fewest of 2, 4 and 8 bits that hold the grid's levels: q3_k goes into 4, q5_0 and q6_k into
// 8, their numbers unchanged. Errors: levels that are no consecutive integers, offsets that are no
// multiple of the scale, groups that are no power of two of at least 16 (the operators' rule).
absl::StatusOr<NBitsLayout> nbits_layout(const grid::GridSpec& spec);

// A matrix [N, K] in the operator's inputs: B u8 [N, K / block_size, block_size * bits / 8] (low
// bits first), scales fp32 [N, K / block_size], zero_points u8 [N, ceil(K / block_size * bits / 8)]
// or empty. Errors: a zero point that is no code.
struct NBitsMatrix {
  std::vector<uint8_t> values;
  std::vector<float> scales;
  std::vector<uint8_t> zero_points;
};
absl::StatusOr<NBitsMatrix> to_nbits(const grid::QuantizedMatrix& matrix,
                                     const NBitsLayout& layout);

// The same for DequantizeLinear, whose fields have 4 or 8 bits and whose blocks any number of
// columns: grids of up to 3 bits go into 4. Integers have a sign where there are no zero points.
absl::StatusOr<NBitsLayout> dequantize_layout(const grid::GridSpec& spec);

// A matrix [N, K] in DequantizeLinear's inputs, 4 bits two per byte, low ones first. kColumns:
// [K, N] with scales and zero points [K / block_size, N], as MatMul reads it. kRows: [N, K] with
// [N, K / block_size], a byte for every integer and zero point, as Gather takes rows of it.
enum class BlockOrder { kColumns, kRows };
struct BlockMatrix {
  std::vector<uint8_t> values;
  std::vector<float> scales;
  std::vector<uint8_t> zero_points;  // empty without
};
// Errors: a zero point that is no code.
absl::StatusOr<BlockMatrix> to_blocks(const grid::QuantizedMatrix& matrix,
                                      const NBitsLayout& layout, BlockOrder order);

// [rows, columns] -> [columns, rows].
std::vector<float> transposed(const std::vector<float>& matrix, int64_t rows, int64_t columns);

// A matrix [N, K] on grid int8:row as MatMulInteger wants it: values [K, N], scales fp32 [N]; zero
// points are 0.
struct Int8Matrix {
  std::vector<int8_t> values;
  std::vector<float> scales;
};
Int8Matrix to_int8(const grid::QuantizedMatrix& matrix);

}  // namespace frugal::artifact
