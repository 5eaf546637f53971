#include "grid_properties.h"

namespace frugal::grid {
namespace {

class TwoBits : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(All, TwoBits, ::testing::Values("q2_0", "tq2_0"));

TEST_P(TwoBits, Properties) { expect_all_properties(*grid_or_die(GetParam())); }
TEST_P(TwoBits, DecodesAsTheReference) {
  expect_golden_decode(*grid_or_die(GetParam()), std::string("decode_") + GetParam() + ".bin");
}
TEST_P(TwoBits, PlainRuleIsTheReferences) {
  expect_golden_encode(*grid_or_die(GetParam()), std::string("encode_") + GetParam() + ".bin");
}

// A model trained to three values comes back as it is.
TEST_P(TwoBits, TernaryWeightsAreHeldExactly) {
  base::RandomStream random(5, "two_bits/ternary");
  const auto grid = grid_or_die(GetParam());
  std::vector<float> x(static_cast<size_t>(grid->spec().block_columns));
  for (float& value : x) value = 0.0625f * static_cast<float>(random.below(3)) - 0.0625f;
  for (const ScaleSearch search : {ScaleSearch::kNone, ScaleSearch::kFast, ScaleSearch::kFull}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        const QuantizedMatrix matrix,
        round_to_nearest(grid, x.data(), 1, grid->spec().block_columns, {}, search));
    std::vector<float> decoded(x.size());
    decode_matrix(matrix, decoded.data());
    EXPECT_EQ(decoded, x);
  }
}

// Its levels reach further on one side: the scale turns that side to where the weights do.
TEST(Q20, TheFourthLevelServesEitherSign) {
  const auto grid = grid_or_die("q2_0");
  for (const float sign : {1.0f, -1.0f}) {
    std::vector<float> x(64);
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = sign * 0.125f * static_cast<float>(static_cast<int>(i % 4) - 1);
    for (const ScaleSearch search : {ScaleSearch::kFast, ScaleSearch::kFull}) {
      FRUGAL_ASSERT_OK_AND_ASSIGN(const QuantizedMatrix matrix,
                                  round_to_nearest(grid, x.data(), 1, 64, {}, search));
      std::vector<float> decoded(x.size());
      decode_matrix(matrix, decoded.data());
      EXPECT_EQ(decoded, x);
    }
  }
}

TEST(Tq20, AFourthValueIsRefused) {
  const auto grid = grid_or_die("tq2_0");
  std::vector<std::byte> block(66, std::byte{0xaa});
  FRUGAL_EXPECT_OK(unpack_matrix(grid, 1, 256, block));
  for (const int byte : {0x03, 0x0c, 0x30, 0xc0}) {
    block[17] = static_cast<std::byte>(byte);
    FRUGAL_EXPECT_ERROR(unpack_matrix(grid, 1, 256, block), absl::StatusCode::kDataLoss,
                        "codes outside the grid's range");
  }
}

}  // namespace
}  // namespace frugal::grid
