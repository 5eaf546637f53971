#include "grid_properties.h"

namespace frugal::grid {
namespace {

TEST(Iq4Nl, Properties) { expect_all_properties(*grid_or_die("iq4_nl")); }
TEST(Iq4Nl, DecodesAsTheReference) {
  expect_golden_decode(*grid_or_die("iq4_nl"), "decode_iq4_nl.bin");
}

TEST(Iq4Nl, TiesGoToTheLowerLevel) {
  const auto grid = grid_or_die("iq4_nl");
  const std::vector<float>& levels = grid->spec().levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const float tie = (levels[i] + levels[i + 1]) / 2;
    EXPECT_EQ(grid->nearest_code(tie), i);
    EXPECT_EQ(grid->nearest_code(std::nextafter(tie, 1e9f)), i + 1);
  }
}

}  // namespace
}  // namespace frugal::grid
