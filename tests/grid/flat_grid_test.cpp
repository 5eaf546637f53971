#include "grid/flat_grid.h"

#include "grid_properties.h"

namespace frugal::grid {
namespace {

TEST(NibbleHalves, LowNibblesFirst) {
  const std::vector<uint8_t> codes = {1, 2, 3, 4};
  std::vector<std::byte> bytes(2);
  pack_nibble_halves(codes.data(), 4, bytes.data());
  EXPECT_EQ(bytes[0], std::byte{0x31});
  EXPECT_EQ(bytes[1], std::byte{0x42});
  std::vector<uint8_t> back(4);
  unpack_nibble_halves(bytes.data(), 4, back.data());
  EXPECT_EQ(back, codes);
}

TEST(FlatGrid, ScalesSaturateAtTheLargestHalf) {
  const auto grid = grid_or_die("q4_0");
  const float wished = 1e6f;
  std::vector<std::byte> parameters(2);
  grid->snap(&wished, nullptr, parameters.data());
  float scale, offset;
  grid->expand(parameters.data(), &scale, &offset);
  EXPECT_EQ(scale, 65504.0f);
  EXPECT_EQ(offset, 0.0f);
}

TEST(IntegerLevels, AreConsecutive) {
  EXPECT_EQ(integer_levels(-2, 1), (std::vector<float>{-2, -1, 0, 1}));
}

}  // namespace
}  // namespace frugal::grid
