#include "grid_properties.h"

namespace frugal::grid {
namespace {

class AffineK : public ::testing::TestWithParam<const char*> {
 protected:
  // The least that the largest sub-scale may become: search_super_scale tries a quarter of them.
  int smallest_top_code() const { return std::string(GetParam()) == "q2_k" ? 12 : 47; }
};
INSTANTIATE_TEST_SUITE_P(All, AffineK, ::testing::Values("q2_k", "q4_k", "q5_k"));

TEST_P(AffineK, Properties) {
  expect_all_properties(*grid_or_die(GetParam()), smallest_top_code());
}
TEST_P(AffineK, DecodesAsTheReference) {
  expect_golden_decode(*grid_or_die(GetParam()), std::string("decode_") + GetParam() + ".bin");
}

TEST_P(AffineK, OffsetsAreNeverPositive) {
  base::RandomStream random(7, "affine_k/positive");
  const auto grid = grid_or_die(GetParam());
  std::vector<float> x = normal_weights(random, 256);
  for (float& value : x) value = std::fabs(value) + 0.1f;
  std::vector<std::byte> parameters(static_cast<size_t>(grid->spec().parameter_bytes));
  grid->fit(x, {}, true, parameters.data());
  std::vector<float> scale(16), offset(16);
  grid->expand(parameters.data(), scale.data(), offset.data());
  for (int j = 0; j < grid->spec().groups_per_block(); ++j) {
    EXPECT_GT(scale[j], 0.0f);
    EXPECT_LE(offset[j], 0.0f);
  }
}

// A block that the grid can represent exactly must nearly be found again.
TEST_P(AffineK, FindsRepresentableBlocks) {
  base::RandomStream random(8, "affine_k/exact");
  const auto grid = grid_or_die(GetParam());
  for (int round = 0; round < 10; ++round) {
    std::vector<std::byte> parameters(static_cast<size_t>(grid->spec().parameter_bytes));
    std::vector<uint8_t> codes(256);
    const auto seed = normal_weights(random, 256);
    grid->fit(seed, {}, true, parameters.data());
    grid->encode(seed.data(), parameters.data(), codes.data());
    const double first = weighted_error(*grid, seed, {}, parameters.data());
    std::vector<float> x(256);
    grid->decode(parameters.data(), codes.data(), x.data());
    std::vector<std::byte> again(parameters.size());
    grid->fit(x, {}, true, again.data());
    // Far below what the grid costs weights that it cannot represent; not 0, as the search stays
    // near the scales that serve each group alone.
    EXPECT_LT(weighted_error(*grid, x, {}, again.data()), first / 4);
  }
}

}  // namespace
}  // namespace frugal::grid
