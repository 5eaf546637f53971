#include "grid_properties.h"

namespace frugal::grid {
namespace {

TEST(Q4K, Properties) { expect_all_properties(*grid_or_die("q4_k")); }
TEST(Q4K, DecodesAsTheReference) { expect_golden_decode(*grid_or_die("q4_k"), "decode_q4_k.bin"); }

TEST(Q4K, OffsetsAreNeverPositive) {
  base::RandomStream random(7, "q4_k/positive");
  const auto grid = grid_or_die("q4_k");
  std::vector<float> x = normal_weights(random, 256);
  for (float& value : x) value = std::fabs(value) + 0.1f;
  std::vector<std::byte> parameters(16);
  grid->fit(x, {}, true, parameters.data());
  float scale[8], offset[8];
  grid->expand(parameters.data(), scale, offset);
  for (int j = 0; j < 8; ++j) {
    EXPECT_GT(scale[j], 0.0f);
    EXPECT_LE(offset[j], 0.0f);
  }
}

// A block that the grid can represent exactly must be found again (up to the sign of nothing: error
// 0 is unique).
TEST(Q4K, FindsRepresentableBlocks) {
  base::RandomStream random(8, "q4_k/exact");
  const auto grid = grid_or_die("q4_k");
  for (int round = 0; round < 10; ++round) {
    std::vector<std::byte> parameters(16);
    std::vector<uint8_t> codes(256);
    const auto seed = normal_weights(random, 256);
    grid->fit(seed, {}, true, parameters.data());
    grid->encode(seed.data(), parameters.data(), codes.data());
    std::vector<float> x(256);
    grid->decode(parameters.data(), codes.data(), x.data());
    std::vector<std::byte> again(16);
    grid->fit(x, {}, true, again.data());
    double power = 0;
    for (const float value : x) power += static_cast<double>(value) * value;
    // 16 levels leave about 0.5% of the power of random weights; here it must all but vanish.
    EXPECT_LT(weighted_error(*grid, x, {}, again.data()),
              1e-4 * power * std::sqrt(3 * power / 256));
  }
}

}  // namespace
}  // namespace frugal::grid
