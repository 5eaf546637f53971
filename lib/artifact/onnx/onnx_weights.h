// Weights of an ONNX graph: float matrices transposed for MatMul, integer groups as MatMulNBits
// wants them. Internal to export.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "grid/grid.h"

namespace frugal::artifact {

// How a grid maps to MatMulNBits and GatherBlockQuantized: value = (q - zero_point) * scale with q
// of `bits` bits.
struct NBitsLayout {
  int64_t bits = 4;
  int64_t block_size = 32;
  bool zero_points = false;  // one per block; without, 2^(bits-1)
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
