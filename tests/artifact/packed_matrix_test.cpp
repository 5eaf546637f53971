#include "artifact/packed/packed_matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/shared_data.h"

namespace frugal::artifact {
namespace {

// [3, 8] in groups of four columns, code = column + row.
PackedMatrix matrix_of(int bits) {
  PackedMatrix matrix{.rows = 3, .columns = 8, .bits = bits, .group = 4};
  matrix.scales = {0.5f, 0.25f, 1.0f, 2.0f, 0.125f, 4.0f};
  matrix.read_codes = [bits](int64_t first, int64_t count, uint8_t* codes) {
    for (int64_t row = first; row < first + count; ++row) {
      for (int64_t column = 0; column < 8; ++column)
        *codes++ = static_cast<uint8_t>((row + column) % (1 << bits));
    }
  };
  return matrix;
}

std::vector<float> on_grid(const PackedMatrix& matrix, int64_t first, int64_t count) {
  const GridChoice choice = choose_grid(matrix).value();
  EXPECT_TRUE(choice.grid.has_value()) << choice.reason;
  const auto codes = codes_on_grid(matrix, choice.grid.value(), first, count).value();
  std::vector<float> values(static_cast<size_t>(count * matrix.columns));
  grid::decode_matrix(codes, values.data());
  return values;
}

TEST(PackedMatrix, IsDescribed) {
  PackedMatrix matrix{.rows = 2, .columns = 64, .bits = 3, .group = 32};
  EXPECT_EQ(describe(matrix), "3-bit integers, groups of 32");
  matrix.zeros = {4, 4, 4, 5};
  matrix.group_of.assign(64, 0);
  EXPECT_EQ(describe(matrix), "3-bit integers, groups of 32 in an order of their own, zero points");
  const PackedMatrix rounded{.rows = 2,
                             .columns = 64,
                             .levels = PackedLevels::kFloat8,
                             .bits = 8,
                             .group = 64,
                             .int8_inputs = true};
  EXPECT_EQ(describe(rounded), "8-bit floats, whole rows, int8 inputs");
}

TEST(PackedMatrix, GridAndFloatsAreTheSameNumbers) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const bool asymmetric : {false, true}) {
      PackedMatrix matrix = matrix_of(bits);
      if (asymmetric) matrix.zeros = {0, 1, 2, 3, 1, 2};
      const std::string name = base::str_cat("int", bits, ":g4", asymmetric ? ":asym" : "");
      EXPECT_EQ(choose_grid(matrix)->grid, name);
      for (int64_t first = 0; first < 3; ++first) {
        const std::vector<float> floats = decoded_rows(matrix, first, 3 - first).value();
        EXPECT_EQ(on_grid(matrix, first, 3 - first), floats) << name;
        const int zero =
            asymmetric ? matrix.zeros[static_cast<size_t>(2 * first + 1)] : 1 << (bits - 1);
        const int64_t code = (first + 5) % (1 << bits);
        EXPECT_EQ(floats[5], matrix.scales[static_cast<size_t>(2 * first + 1)] *
                                 static_cast<float>(code - zero));
      }
    }
  }
}

TEST(PackedMatrix, ZeroPointsInTheMiddleAreNone) {
  PackedMatrix matrix = matrix_of(4);
  matrix.zeros.assign(6, 8);
  EXPECT_EQ(choose_grid(matrix)->grid, "int4:g4");
  matrix.group = 8;
  matrix.scales.resize(3);
  matrix.zeros.resize(3);
  EXPECT_EQ(choose_grid(matrix)->grid, "int4:row");
}

TEST(PackedMatrix, FloatsOf8BitsAreTheGridsNumbers) {
  PackedMatrix matrix = matrix_of(8);
  matrix.levels = PackedLevels::kFloat8;
  matrix.read_codes = [](int64_t first, int64_t count, uint8_t* codes) {
    for (int64_t i = first * 8; i < (first + count) * 8; ++i)
      *codes++ = static_cast<uint8_t>((i * 11) | (i % 2) << 7);
  };
  EXPECT_EQ(choose_grid(matrix)->grid, "fp8:g4");
  const std::vector<float> floats = decoded_rows(matrix, 0, 3).value();
  EXPECT_EQ(on_grid(matrix, 0, 3), floats);
  EXPECT_EQ(floats[2], 0.5f * 14 / 256);  // byte 22: (8 + 6) * 2^(2 - 10)
}

TEST(PackedMatrix, NotANumberIsRefused) {
  PackedMatrix matrix = matrix_of(8);
  matrix.levels = PackedLevels::kFloat8;
  matrix.read_codes = [](int64_t, int64_t count, uint8_t* codes) {
    std::fill(codes, codes + 8 * count, uint8_t{0});
    codes[8 * count - 1] = 0xff;
  };
  FRUGAL_EXPECT_ERROR(decoded_rows(matrix, 0, 3), absl::StatusCode::kDataLoss,
                      "NaN at row 2, column 7");
  FRUGAL_EXPECT_ERROR(codes_on_grid(matrix, "fp8:g4", 1, 1), absl::StatusCode::kDataLoss,
                      "NaN at row 1, column 7");
  PackedMatrix scaled = matrix_of(4);
  scaled.scales[3] = std::numeric_limits<float>::infinity();
  FRUGAL_EXPECT_ERROR(choose_grid(scaled), absl::StatusCode::kDataLoss,
                      "scale at row 1, group 1 is inf");
}

TEST(PackedMatrix, SaysWhyThereIsNoGrid) {
  struct Case {
    std::string reason;
    std::function<void(PackedMatrix&)> change;
  };
  for (const Case& test : std::vector<Case>{
           {"(g_idx)", [](PackedMatrix& m) { m.group_of = {1, 0, 1, 0, 1, 0, 1, 0}; }},
           {"integers of 6 bits", [](PackedMatrix& m) { m.bits = 6; }},
           {"4-bit floats in groups of 4",
            [](PackedMatrix& m) { m.levels = PackedLevels::kFloat4; }},
           {"tensor scale is no power of two",
            [](PackedMatrix& m) {
              m.levels = PackedLevels::kFloat4;
              m.group = 16;
              m.tensor_scale = 0.3f;
            }},
           {"rows of 8 fill no blocks of 64",
            [](PackedMatrix& m) {
              m.levels = PackedLevels::kFloat4;
              m.group = 16;
            }},
           {"some of its scales are none of the grid",
            [](PackedMatrix& m) {
              m.levels = PackedLevels::kFloat4;
              m.group = 32;
              m.columns = 32;
              m.scales[1] = 3;
            }},
           {"shorter than 5", [](PackedMatrix& m) { m.group = 5; }},
           {"no fp16 numbers", [](PackedMatrix& m) { m.scales[2] = 0.1f; }},
           {"no fp16 numbers",
            [](PackedMatrix& m) {
              m.scales[2] = -1;
              m.zeros.assign(6, 3);
            }},
           {"single columns", [](PackedMatrix& m) {
              m.group = 1;
              m.scales.assign(24, 1.0f);
            }}}) {
    PackedMatrix matrix = matrix_of(4);
    test.change(matrix);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const GridChoice choice, choose_grid(matrix));
    EXPECT_FALSE(choice.grid.has_value()) << test.reason;
    EXPECT_THAT(choice.reason, testing::HasSubstr(test.reason));
  }
}

TEST(PackedMatrix, GroupsMayHoldColumnsInAnyOrder) {
  PackedMatrix matrix = matrix_of(4);
  matrix.group_of = {1, 0, 1, 0, 1, 0, 1, 0};
  const std::vector<float> floats = decoded_rows(matrix, 0, 1).value();
  EXPECT_EQ(floats[0], 0.25f * (0 - 8));
  EXPECT_EQ(floats[1], 0.5f * (1 - 8));
}

// A negative scale needs no zero point to be a grid's: symmetric grids have signed scales.
TEST(PackedMatrix, SymmetricScalesMayBeNegative) {
  PackedMatrix matrix = matrix_of(4);
  matrix.scales[0] = -0.5f;
  EXPECT_EQ(on_grid(matrix, 0, 1)[1], 3.5f);
}

}  // namespace
}  // namespace frugal::artifact
