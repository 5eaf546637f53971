#include "grid/float8.h"
#include "grid_properties.h"

namespace frugal::grid {
namespace {

class Fp8 : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(All, Fp8, ::testing::Values("fp8", "fp8:g64", "fp8:g20"));

TEST_P(Fp8, Properties) { expect_all_properties(*grid_or_die(GetParam(), 96)); }

// The value of a byte by the definition of the format (OCP 8-bit floating point, table 2).
double value_of(int byte) {
  const int exponent = byte >> 3 & 15;
  const int fraction = byte & 7;
  const double size =
      exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, exponent - 10);
  return (byte & 0x80) != 0 ? -size : size;
}

TEST(Fp8Bytes, DecodeByTheDefinition) {
  const auto grid = grid_or_die("fp8", 16);
  for (int byte = 0; byte < 256; ++byte) {
    std::vector<std::byte> block(18, std::byte{0});
    block[1] = std::byte{0x3c};  // 1.0
    block[5] = static_cast<std::byte>(byte);
    const auto matrix = unpack_matrix(grid, 1, 16, block);
    if ((byte & 0x7f) == 0x7f) {
      FRUGAL_EXPECT_ERROR(matrix, absl::StatusCode::kDataLoss, "row 0, block 0");
      continue;
    }
    FRUGAL_ASSERT_OK(matrix);
    std::vector<float> decoded(16);
    decode_matrix(*matrix, decoded.data());
    EXPECT_EQ(decoded[3], value_of(byte)) << byte;
    std::vector<std::byte> again = pack_matrix(*matrix);
    EXPECT_EQ(again[5], byte == 0x80 ? std::byte{0} : block[5]) << byte;
  }
}

TEST(Fp8Bytes, ZeroHasOneCode) {
  const auto grid = grid_or_die("fp8", 16);
  EXPECT_EQ(grid->nearest_code(0.0f), kFloat8Zero);
  EXPECT_EQ(grid->nearest_code(-0.0f), kFloat8Zero);
  EXPECT_EQ(grid->nearest_code(-0x1p-11f), kFloat8Zero);
  EXPECT_TRUE(grid->spec().holds_zero);
  EXPECT_EQ(grid->spec().levels.size(), 253u);
}

TEST(Float8, RoundsToTheNearestValueTiesToTheEvenFraction) {
  const std::vector<float> levels = float8_levels();
  ASSERT_EQ(levels.size(), 253u);
  for (size_t i = 0; i < levels.size(); ++i) {
    EXPECT_EQ(round_to_float8(levels[i]), levels[i]);
    EXPECT_EQ(float8_code(levels[i]), i);
    if (i + 1 == levels.size()) break;
    const float middle = (levels[i] + levels[i + 1]) / 2;
    const size_t even = float8_magnitude(levels[i]) % 2 == 0 ? i : i + 1;
    EXPECT_EQ(float8_code(round_to_float8(middle)), even) << middle;
    EXPECT_EQ(float8_code(round_to_float8(std::nextafter(middle, 1e9f))), i + 1) << middle;
    EXPECT_EQ(float8_code(round_to_float8(std::nextafter(middle, -1e9f))), i) << middle;
  }
}

TEST(Fp8Names, AreCanonical) {
  EXPECT_EQ(grid_or_die("fp8", 96)->spec().name, "fp8:row");
  EXPECT_EQ(grid_or_die("fp8:g128")->spec().name, "fp8:g128");
  FRUGAL_EXPECT_ERROR(find_grid("fp8", 0), absl::StatusCode::kInvalidArgument, "row length");
}

}  // namespace
}  // namespace frugal::grid
