#include "grid_properties.h"

namespace frugal::grid {
namespace {

class SignedK : public ::testing::TestWithParam<const char*> {
 protected:
  // The least that the largest sub-scale may become: search_super_scale tries a quarter of 31, and
  // 16 of 127.
  int smallest_top_code() const { return std::string(GetParam()) == "q6_k" ? 111 : 24; }
};
INSTANTIATE_TEST_SUITE_P(All, SignedK, ::testing::Values("q3_k", "q6_k", "iq4_xs"));

TEST_P(SignedK, Properties) {
  expect_all_properties(*grid_or_die(GetParam()), smallest_top_code());
}
TEST_P(SignedK, DecodesAsTheReference) {
  expect_golden_decode(*grid_or_die(GetParam()), std::string("decode_") + GetParam() + ".bin");
}

// The lowest level has no counterpart: a group whose largest weight is positive wants a negative
// scale.
TEST_P(SignedK, SubScalesTakeBothSigns) {
  base::RandomStream random(7, "signed_k/signs");
  const auto grid = grid_or_die(GetParam());
  const auto groups = static_cast<size_t>(grid->spec().groups_per_block());
  EXPECT_EQ(grid->spec().holds_zero, grid->spec().uniform);  // of the levels of iq4_nl none is 0
  std::vector<float> x = normal_weights(random, 256);
  for (size_t j = 0; j < groups; ++j) x[j * 256 / groups] = j % 2 == 0 ? 0.2f : -0.2f;
  std::vector<std::byte> parameters(static_cast<size_t>(grid->spec().parameter_bytes));
  grid->fit(x, {}, false, parameters.data());
  std::vector<float> scale(groups), offset(groups);
  grid->expand(parameters.data(), scale.data(), offset.data());
  for (size_t j = 0; j < groups; ++j) {
    EXPECT_EQ(scale[j] < 0, j % 2 == 0);
    EXPECT_EQ(offset[j], 0.0f);
  }
}

TEST_P(SignedK, FindsRepresentableBlocks) {
  base::RandomStream random(8, "signed_k/exact");
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
