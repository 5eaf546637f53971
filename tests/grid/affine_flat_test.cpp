#include "grid_properties.h"

namespace frugal::grid {
namespace {

class AffineFlat : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(All, AffineFlat, ::testing::Values("q4_1", "q5_1"));

TEST_P(AffineFlat, Properties) { expect_all_properties(*grid_or_die(GetParam())); }
TEST_P(AffineFlat, DecodesAsTheReference) {
  expect_golden_decode(*grid_or_die(GetParam()), std::string("decode_") + GetParam() + ".bin");
}
TEST_P(AffineFlat, PlainRuleIsTheReferences) {
  expect_golden_encode(*grid_or_die(GetParam()), std::string("encode_") + GetParam() + ".bin");
}

// ggml's own search keeps m <= 0; weights far above 0 are better served by a positive one.
TEST_P(AffineFlat, OffsetsMayBePositive) {
  base::RandomStream random(7, "affine_flat/positive");
  const auto grid = grid_or_die(GetParam());
  std::vector<float> x = normal_weights(random, 32);
  for (float& value : x) value += 2;
  std::vector<std::byte> parameters(4);
  grid->fit(x, {}, true, parameters.data());
  float scale, offset;
  grid->expand(parameters.data(), &scale, &offset);
  EXPECT_GT(offset, 1.5f);
  std::vector<uint8_t> codes(32);
  std::vector<float> decoded(32);
  grid->encode(x.data(), parameters.data(), codes.data());
  grid->decode(parameters.data(), codes.data(), decoded.data());
  // 32 normal weights span some 5 sigma: levels 5 sigma / 15 apart at most, and fp16's 2^-10 for
  // offsets of 1 to 2.
  for (int i = 0; i < 32; ++i) EXPECT_NEAR(decoded[i], x[i], 0.05f * 5 / 15 + 0x1p-10f);
}

// The search must come near what all pairs of fp16 around it reach.
TEST_P(AffineFlat, NearTheBruteForceOptimum) {
  base::RandomStream random(8, "affine_flat/brute");
  const auto grid = grid_or_die(GetParam());
  double found_total = 0, best_total = 0;
  for (int round = 0; round < 5; ++round) {
    const auto x = heavy_weights(random, 32);
    const auto importance = uneven_importance(random, 32);
    std::vector<std::byte> parameters(4);
    grid->fit(x, importance, true, parameters.data());
    const double found = weighted_error(*grid, x, importance, parameters.data());
    float scale, offset;
    grid->expand(parameters.data(), &scale, &offset);
    double best = found;
    for (int i = -60; i <= 60; ++i) {
      for (int j = -60; j <= 60; ++j) {
        const float tried = scale * (1 + 0.003f * static_cast<float>(i));
        grid->set_group(0, tried, offset + scale * 0.03f * static_cast<float>(j),
                        parameters.data());
        best = std::min(best, weighted_error(*grid, x, importance, parameters.data()));
      }
    }
    found_total += found;
    best_total += best;
  }
  // 14641 pairs that spread 18% and 1.8 levels around leave many local optima; 32 candidates end
  // within a fifth of the best of them.
  EXPECT_LT(found_total, 1.2 * best_total);
  RecordProperty(std::string(GetParam()) + "_over_optimum",
                 std::to_string(found_total / best_total));
}

}  // namespace
}  // namespace frugal::grid
