#include "grid/float4.h"

#include "grid_properties.h"

namespace frugal::grid {
namespace {

class Float4 : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(All, Float4,
                         ::testing::Values("mxfp4", "nvfp4", "nvfp4:e0", "nvfp4:e-12"));

TEST_P(Float4, Properties) { expect_all_properties(*grid_or_die(GetParam())); }

TEST(MxFp4, DecodesAsTheReference) {
  expect_golden_decode(*grid_or_die("mxfp4"), "decode_mxfp4.bin");
}
TEST(MxFp4, PlainRuleIsTheReferences) {
  expect_golden_encode(*grid_or_die("mxfp4"), "encode_mxfp4.bin");
}
TEST(NvFp4, DecodesAsTheReference) {
  expect_golden_decode(*grid_or_die("nvfp4:e0"), "decode_nvfp4.bin");
}
TEST(NvFp4, PlainRuleIsTheReferences) {
  expect_golden_encode(*grid_or_die("nvfp4:e0"), "encode_nvfp4.bin");
}

// OCP Microscaling formats, version 1.0, table 5: sign, two bits of exponent (bias 1), one of
// fraction.
TEST(Float4Levels, AreTheFormatsDoubled) {
  const auto grid = grid_or_die("mxfp4");
  const GridSpec& spec = grid->spec();
  std::vector<float> expected;
  for (int nibble = 0; nibble < 16; ++nibble) {
    const int exponent = nibble >> 1 & 3, fraction = nibble & 1;
    const double size = exponent == 0 ? fraction * 0.5 : std::ldexp(2 + fraction, exponent - 2);
    expected.push_back(static_cast<float>((nibble & 8) != 0 ? -2 * size : 2 * size));
  }
  std::sort(expected.begin(), expected.end());
  expected.erase(std::unique(expected.begin(), expected.end()), expected.end());  // -0 and 0
  EXPECT_EQ(spec.levels, expected);
  EXPECT_TRUE(spec.holds_zero);
}

// By hand: scale byte 127 is 1; nibbles in halves of the group, 5 = 3, 13 = -3, 8 = -0.
TEST(MxFp4, ABlockByHand) {
  const auto grid = grid_or_die("mxfp4");
  std::vector<std::byte> block(17, std::byte{0});
  block[0] = std::byte{127};
  block[1] = std::byte{0x5d};
  block[16] = std::byte{0x87};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const QuantizedMatrix matrix, unpack_matrix(grid, 1, 32, block));
  std::vector<float> x(32);
  decode_matrix(matrix, x.data());
  EXPECT_EQ(x[0], -3);
  EXPECT_EQ(x[16], 3);
  EXPECT_EQ(x[15], 6);
  EXPECT_EQ(x[31], 0);
  EXPECT_FALSE(std::signbit(x[31]));
  block[16] = std::byte{0x07};  // one zero is written
  EXPECT_EQ(pack_matrix(matrix), block);
}

TEST(NvFp4, ABlockByHand) {
  std::vector<std::byte> block(36, std::byte{0});
  block[2] = std::byte{0x3c};  // 1.5, of columns 32 to 47
  block[4 + 16] = std::byte{0x29};
  for (const auto& [name, factor] : {std::pair{"nvfp4:e0", 1.0f}, {"nvfp4", 0x1p-7f}}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const QuantizedMatrix matrix,
                                unpack_matrix(grid_or_die(name), 1, 64, block));
    std::vector<float> x(64);
    decode_matrix(matrix, x.data());
    for (int i = 0; i < 64; ++i) {
      EXPECT_EQ(x[i], i == 32 ? -0.75f * factor : i == 40 ? 1.5f * factor : 0.0f) << name << i;
    }
    EXPECT_EQ(grid_or_die(name)->spec().tensor_scale, factor);
  }
}

TEST(Float4Scales, ThatStandForNoNumberAreRefused) {
  for (const auto& [name, byte] :
       {std::pair{"mxfp4", 0xff}, {"nvfp4", 0x7f}, {"nvfp4", 0x80}, {"nvfp4", 0xb0}}) {
    const auto grid = grid_or_die(name);
    const int64_t columns = grid->spec().block_columns;
    std::vector<std::byte> block(static_cast<size_t>(grid->spec().block_bytes), std::byte{0});
    FRUGAL_EXPECT_OK(unpack_matrix(grid, 1, columns, block));
    block[0] = static_cast<std::byte>(byte);
    FRUGAL_EXPECT_ERROR(unpack_matrix(grid, 1, columns, block), absl::StatusCode::kDataLoss,
                        "parameters outside the grid's range");
  }
}

TEST(NvFp4Names, AreCanonical) {
  EXPECT_EQ(grid_or_die("nvfp4:e-7")->spec().name, "nvfp4");
  EXPECT_EQ(grid_or_die("nvfp4:e3")->spec().name, "nvfp4:e3");
  EXPECT_EQ(grid_or_die("nvfp4:e3")->spec().tensor_scale, 8);
  for (const char* name : {"nvfp4:e", "nvfp4:e65", "nvfp4:e-65", "nvfp4:e1x", "nvfp4:g16",
                           "nvfp4:e1.5", "nvfp4:", "nvfp4:e99999999999"}) {
    FRUGAL_EXPECT_ERROR(find_grid(name, 64), absl::StatusCode::kInvalidArgument,
                        "takes ':e<k>' for a tensor scale of 2^k, k from -64 to 64");
  }
  FRUGAL_EXPECT_ERROR(find_grid("mxfp4:g16", 64), absl::StatusCode::kInvalidArgument,
                      "takes no options");
}

TEST(NvFp4, WeightsBeyondItsRangeAreRefused) {
  std::vector<float> x(128, 0.1f);
  for (const auto& [name, reach, remedy] :
       {std::tuple{"nvfp4", 21.0f, "nvfp4:e-6"}, {"nvfp4:e0", 2688.0f, "nvfp4:e1"}}) {
    const auto grid = grid_or_die(name);
    x[77] = -reach;
    FRUGAL_EXPECT_OK(round_to_nearest(grid, x.data(), 2, 64, {}, true));
    x[77] = -1.01f * reach;
    FRUGAL_EXPECT_ERROR(round_to_nearest(grid, x.data(), 2, 64, {}, true),
                        absl::StatusCode::kInvalidArgument,
                        base::str_cat("reaches to ", reach, "; take '", remedy, "'"));
    FRUGAL_EXPECT_OK(round_to_nearest(grid_or_die(remedy), x.data(), 2, 64, {}, true));
  }
  FRUGAL_EXPECT_OK(check_range(grid_or_die("q4_0")->spec(), x.data(), 128));
}

// All stored scales of a group tried: what the full search finds is the best, and the fast one
// comes near.
TEST_P(Float4, TheSearchFindsTheBestStoredScale) {
  base::RandomStream random(9, "float4/brute");
  const auto grid = grid_or_die(GetParam());
  const int64_t groups = grid->spec().groups_per_block();
  double best_total = 0, full_total = 0, fast_total = 0;
  for (int round = 0; round < 40; ++round) {
    const auto x = heavy_weights(random, grid->spec().block_columns);
    const auto importance = uneven_importance(random, grid->spec().block_columns);
    std::vector<std::byte> full(static_cast<size_t>(groups)), fast(full), tried(full);
    grid->fit(x, importance, true, full.data());
    const BlockToFit block{
        .x = x.data(), .importance = importance.data(), .parameters = fast.data()};
    grid->fit_fast({&block, 1});
    std::vector<std::byte> best = full;
    for (int64_t g = 0; g < groups; ++g) {  // groups do not depend on each other
      tried = best;
      for (int byte = 0; byte <= (groups == 1 ? 252 : 126); ++byte) {
        tried[g] = static_cast<std::byte>(byte);
        if (weighted_error(*grid, x, importance, tried.data()) <
            weighted_error(*grid, x, importance, best.data()) * (1 - 1e-6))
          best[g] = tried[g];
      }
    }
    best_total += weighted_error(*grid, x, importance, best.data());
    full_total += weighted_error(*grid, x, importance, full.data());
    fast_total += weighted_error(*grid, x, importance, fast.data());
  }
  // (Sixteen neighbors are looked at: a scale further off serves a group whose largest weight
  // hardly counts.)
  EXPECT_LE(full_total, best_total * 1.001);
  EXPECT_LE(fast_total, best_total * 1.02);
  RecordProperty("full_over_best", std::to_string(full_total / best_total));
  RecordProperty("fast_over_best", std::to_string(fast_total / best_total));
}

}  // namespace
}  // namespace frugal::grid
