#include "grid_properties.h"

namespace frugal::grid {
namespace {

class IntGroup : public ::testing::TestWithParam<const char*> {};

TEST_P(IntGroup, Properties) { expect_all_properties(*grid_or_die(GetParam(), 96)); }

INSTANTIATE_TEST_SUITE_P(All, IntGroup,
                         ::testing::Values("int4", "int4:g64", "int4:g128:asym", "int4:row",
                                           "int4:asym", "int8", "int8:row", "int8:row:asym",
                                           "int8:g16:asym", "int2", "int2:g64:asym", "int2:row",
                                           "int3", "int3:g128:asym", "int3:row", "int3:row:asym",
                                           "int4:g2", "int4:g24", "int3:g5", "int2:g7:asym",
                                           "int8:g10:asym"));

TEST(IntGroupNames, AreCanonical) {
  EXPECT_EQ(grid_or_die("int4")->spec().name, "int4:g32");
  EXPECT_EQ(grid_or_die("int4:asym:g64")->spec().name, "int4:g64:asym");
  EXPECT_EQ(grid_or_die("int8:row", 172)->spec().name, "int8:row");
}

TEST(IntGroupNames, MistakesAreNamed) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(find_grid("int4:g1", 0), kInvalid, "from 2 to");
  FRUGAL_EXPECT_ERROR(find_grid("int4:g0", 0), kInvalid, "'g0'");
  FRUGAL_EXPECT_ERROR(find_grid("int4:g99999999999999999999", 0), kInvalid, "from 2 to");
  FRUGAL_EXPECT_ERROR(find_grid("int4:g32x", 0), kInvalid, "'g32x'");
  FRUGAL_EXPECT_ERROR(find_grid("int4:asymm", 0), kInvalid, "did you mean 'asym'");
  FRUGAL_EXPECT_ERROR(find_grid("int4:", 0), kInvalid, "unknown option ''");
  FRUGAL_EXPECT_ERROR(find_grid("int4:g32:row", 64), kInvalid, "twice");
  FRUGAL_EXPECT_ERROR(find_grid("int8:row", 0), kInvalid, "row length");
}

TEST(IntGroupLayout, OddRowsArePaddedAndNibblesInColumnOrder) {
  const auto grid = grid_or_die("int4:row", 3);
  EXPECT_EQ(grid->spec().block_bytes, 2 + 2);
  const std::vector<std::byte> parameters = {std::byte{0x00}, std::byte{0x3c}};  // 1.0
  const std::vector<uint8_t> codes = {1, 2, 15};
  std::vector<std::byte> block(4);
  grid->pack(parameters.data(), codes.data(), block.data());
  EXPECT_EQ(block[2], std::byte{0x21});
  EXPECT_EQ(block[3], std::byte{0x0f});
}

TEST(IntGroupLayout, ThreeBitCodesArePackedDensely) {
  EXPECT_EQ(grid_or_die("int3:g64")->spec().block_bytes, 2 + 24);
  EXPECT_EQ(grid_or_die("int3:row", 3)->spec().block_bytes, 2 + 2);
  EXPECT_EQ(grid_or_die("int2:g64:asym")->spec().block_bytes, 3 + 16);
  EXPECT_EQ(grid_or_die("int3:g5")->spec().block_bytes, 2 + 2);
  EXPECT_DOUBLE_EQ(grid_or_die("int3:g64")->spec().bits_per_weight(), 3.25);
}

// Long rows with outliers: few levels serve the bulk, and the largest weight is clipped far.
TEST(IntGroupSearch, ClipsFarWhereFewLevelsAskForIt) {
  base::RandomStream random(9, "int_group/clip");
  for (const char* name : {"int2:row", "int3:row", "int2:row:asym", "int4:row"}) {
    const auto grid = grid_or_die(name, 1024);
    std::vector<float> x = normal_weights(random, 1024);
    x[17] = 1.0f;  // 20 sigma
    std::vector<std::byte> parameters(3);
    grid->fit(x, {}, true, parameters.data());
    const double found = weighted_error(*grid, x, {}, parameters.data());
    float scale, offset;
    grid->expand(parameters.data(), &scale, &offset);
    const float zero = -offset / scale;
    double best = found;
    for (float tried = 0.002f; tried < 1; tried *= 1.02f) {
      grid->set_group(0, tried, -tried * zero, parameters.data());
      best = std::min(best, weighted_error(*grid, x, {}, parameters.data()));
    }
    EXPECT_LT(found, 1.05 * best) << name;
  }
}

TEST(IntGroupLayout, ZeroPointsBeyondFourBitsAreRefused) {
  const auto grid = grid_or_die("int4:g16:asym");
  std::vector<std::byte> block(static_cast<size_t>(grid->spec().block_bytes));
  block[2] = std::byte{15};
  FRUGAL_EXPECT_OK(unpack_matrix(grid, 1, 16, block));
  block[2] = std::byte{16};
  FRUGAL_EXPECT_ERROR(unpack_matrix(grid, 1, 16, block), absl::StatusCode::kDataLoss,
                      "row 0, block 0");
}

TEST(IntGroupAsymmetric, RangesAwayFromZeroStillHoldZero) {
  const auto grid = grid_or_die("int8:g16:asym");
  std::vector<float> x(16);
  for (int i = 0; i < 16; ++i) x[i] = 2.0f + 0.1f * static_cast<float>(i);
  std::vector<std::byte> parameters(3);
  grid->fit(x, {}, true, parameters.data());
  std::vector<uint8_t> codes(16);
  std::vector<float> decoded(16);
  grid->encode(x.data(), parameters.data(), codes.data());
  grid->decode(parameters.data(), codes.data(), decoded.data());
  for (int i = 0; i < 16; ++i) EXPECT_NEAR(decoded[i], x[i], 3.5f / 255);  // range 0..3.5
}

}  // namespace
}  // namespace frugal::grid
