#include "grid_properties.h"

namespace frugal::grid {
namespace {

TEST(Q40, Properties) { expect_all_properties(*grid_or_die("q4_0")); }
TEST(Q40, DecodesAsTheReference) { expect_golden_decode(*grid_or_die("q4_0"), "decode_q4_0.bin"); }
TEST(Q40, PlainRuleIsTheReferences) {
  expect_golden_encode(*grid_or_die("q4_0"), "encode_q4_0.bin");
}

TEST(Q40, LargestWeightMeetsTheLowestLevel) {
  std::vector<float> x(32, 0.25f);
  x[3] = 4.0f;
  std::vector<std::byte> parameters(2);
  const auto grid = grid_or_die("q4_0");
  grid->fit(x, {}, false, parameters.data());
  float scale, offset;
  grid->expand(parameters.data(), &scale, &offset);
  EXPECT_EQ(scale, -0.5f);
  EXPECT_EQ(grid->nearest_code(x[3] / scale), 0);
}

}  // namespace
}  // namespace frugal::grid
