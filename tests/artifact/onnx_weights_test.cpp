#include "artifact/onnx/onnx_weights.h"

#include <gtest/gtest.h>

#include "support/quantized_matrix.h"
#include "support/shared_data.h"

namespace frugal::artifact {
namespace {

using namespace frugal::test;

// MatMulNBits' own rule, written down once more: (q - zero_point) * scale.
std::vector<float> operator_values(const NBitsMatrix& packed, const NBitsLayout& layout,
                                   int64_t rows, int64_t columns) {
  const int64_t blocks = columns / layout.block_size;
  const auto field = [&](const std::vector<uint8_t>& bytes, int64_t row, int64_t row_fields,
                         int64_t i) {
    const int64_t row_bytes = (row_fields * layout.bits + 7) / 8;
    const int64_t per_byte = 8 / layout.bits;
    return bytes[row * row_bytes + i / per_byte] >> (layout.bits * (i % per_byte)) &
           ((1 << layout.bits) - 1);
  };
  std::vector<float> values;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      const int64_t block = column / layout.block_size;
      const int zero = layout.zero_points ? field(packed.zero_points, row, blocks, block)
                                          : 1 << (layout.bits - 1);
      values.push_back(static_cast<float>(field(packed.values, row, columns, column) - zero) *
                       packed.scales[row * blocks + block]);
    }
  }
  return values;
}

TEST(NBits, HoldsTheSameNumbers) {
  for (const char* name : {"int4", "int4:g64", "int4:asym", "int4:g128:asym", "int8", "int8:asym",
                           "q4_0", "q8_0", "q3_k", "q5_0", "q6_k", "int3", "int3:g64:asym", "int2",
                           "int2:g64:asym", "int2:g16:asym", "q2_0", "tq2_0"}) {
    const grid::QuantizedMatrix matrix = random_matrix(name, 3, 768);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const NBitsLayout layout, nbits_layout(matrix.grid->spec()));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const NBitsMatrix packed, to_nbits(matrix, layout));
    EXPECT_EQ(operator_values(packed, layout, 3, 768), decoded(matrix)) << name;
  }
}

// DequantizeLinear's rule: (q - zero_point) * scale, q and zero_point of the operator's types.
float dequantized(const BlockMatrix& blocks, const NBitsLayout& layout, bool nibbles, int64_t at,
                  int64_t block) {
  const auto integer = [&](const std::vector<uint8_t>& bytes, int64_t i) {
    const int bits = nibbles ? 4 : 8;
    const int field = nibbles ? bytes[i / 2] >> (4 * (i % 2)) & 15 : bytes[i];
    const bool negative = !layout.zero_points && field >> (bits - 1) != 0;
    return negative ? field - (1 << bits) : field;
  };
  const int zero = layout.zero_points ? integer(blocks.zero_points, block) : 0;
  return static_cast<float>(integer(blocks.values, at) - zero) * blocks.scales[block];
}

TEST(Blocks, HoldTheSameNumbersInBothOrders) {
  for (const char* name : {"int4", "int4:g48", "int4:row", "int4:row:asym", "int4:asym", "int8",
                           "int8:asym", "int8:row", "q4_0", "q8_0", "q3_k", "q5_0", "q6_k", "int3",
                           "int3:g64:asym", "int2", "int2:g16:asym", "q2_0", "tq2_0"}) {
    constexpr int64_t kRows = 3, kColumns = 768;  // odd numbers of columns: nibbles cross rows
    const grid::QuantizedMatrix matrix = random_matrix(name, kRows, kColumns);
    const std::vector<float> expected = decoded(matrix);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const NBitsLayout layout, dequantize_layout(matrix.grid->spec()));
    const int64_t blocks = kColumns / layout.block_size;
    FRUGAL_ASSERT_OK_AND_ASSIGN(const BlockMatrix by_column,
                                to_blocks(matrix, layout, BlockOrder::kColumns));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const BlockMatrix by_row,
                                to_blocks(matrix, layout, BlockOrder::kRows));
    EXPECT_EQ(by_column.values.size(),
              static_cast<size_t>((kRows * kColumns * layout.bits + 7) / 8));
    EXPECT_EQ(by_row.values.size(), static_cast<size_t>(kRows * kColumns));
    for (int64_t n = 0; n < kRows; ++n) {
      for (int64_t k = 0; k < kColumns; ++k) {
        const int64_t block = k / layout.block_size;
        ASSERT_EQ(
            dequantized(by_column, layout, layout.bits == 4, k * kRows + n, block * kRows + n),
            expected[n * kColumns + k])
            << name << ", row " << n << ", column " << k;
        ASSERT_EQ(dequantized(by_row, layout, false, n * kColumns + k, n * blocks + block),
                  expected[n * kColumns + k])
            << name << ", row " << n << ", column " << k;
      }
    }
  }
}

TEST(Blocks, RefuseWhatTheOperatorCannotHold) {
  const auto layout_of = [](const char* name) {
    return dequantize_layout(grid::find_grid(name, 256).value()->spec());
  };
  for (const char* name : {"iq4_nl", "nf4", "fp8:g64", "nvfp4", "mxfp4"})
    FRUGAL_EXPECT_ERROR(layout_of(name), absl::StatusCode::kInvalidArgument,
                        "no layout in ONNX's DequantizeLinear");
  for (const char* name : {"q4_k", "q4_1", "q2_k", "q5_k"})
    FRUGAL_EXPECT_ERROR(layout_of(name), absl::StatusCode::kInvalidArgument,
                        "no multiple of the scale");
}

TEST(Int8, HoldsTheSameNumbers) {
  const grid::QuantizedMatrix matrix = random_matrix("int8:row", 5, 70);
  const Int8Matrix packed = to_int8(matrix);
  ASSERT_EQ(packed.values.size(), 5u * 70u);
  std::vector<float> values;
  for (int64_t row = 0; row < 5; ++row) {
    for (int64_t column = 0; column < 70; ++column)
      values.push_back(static_cast<float>(packed.values[column * 5 + row]) * packed.scales[row]);
  }
  EXPECT_EQ(values, decoded(matrix));
}

TEST(NBits, RefusesWhatTheOperatorCannotHold) {
  const auto layout_of = [](const char* name) {
    return nbits_layout(grid::find_grid(name, 256).value()->spec());
  };
  FRUGAL_EXPECT_ERROR(layout_of("iq4_nl"), absl::StatusCode::kInvalidArgument,
                      "consecutive integers");
  FRUGAL_EXPECT_ERROR(layout_of("q4_k"), absl::StatusCode::kInvalidArgument,
                      "no multiple of the scale");
  FRUGAL_EXPECT_ERROR(layout_of("q4_1"), absl::StatusCode::kInvalidArgument,
                      "no multiple of the scale");
  FRUGAL_EXPECT_ERROR(layout_of("q2_k"), absl::StatusCode::kInvalidArgument,
                      "no multiple of the scale");
  for (const char* name : {"q5_1", "q5_k"})
    FRUGAL_EXPECT_ERROR(layout_of(name), absl::StatusCode::kInvalidArgument,
                        "no multiple of the scale");
  for (const char* name : {"nf4", "fp8:g64", "nvfp4", "mxfp4"})
    FRUGAL_EXPECT_ERROR(layout_of(name), absl::StatusCode::kInvalidArgument,
                        "consecutive integers");
  FRUGAL_EXPECT_ERROR(layout_of("int4:g48"), absl::StatusCode::kInvalidArgument, "powers of two");
}

TEST(Transposed, SwapsRowsAndColumns) {
  std::vector<float> matrix(33 * 70);
  for (size_t i = 0; i < matrix.size(); ++i) matrix[i] = static_cast<float>(i);
  const std::vector<float> turned = transposed(matrix, 33, 70);
  for (int r = 0; r < 33; ++r) {
    for (int c = 0; c < 70; ++c) ASSERT_EQ(turned[c * 33 + r], matrix[r * 70 + c]);
  }
  EXPECT_EQ(transposed(turned, 70, 33), matrix);
}

}  // namespace
}  // namespace frugal::artifact
