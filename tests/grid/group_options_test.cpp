#include "grid/group_options.h"

#include "grid_properties.h"

namespace frugal::grid {
namespace {

TEST(PackBits, LowBitsFirst) {
  std::vector<std::byte> bytes(3);
  const std::vector<uint8_t> codes = {1, 2, 3, 4, 5, 6, 7, 0};
  pack_bits(3, codes.data(), 8, bytes.data());  // 000 111 110 101 100 011 010 001
  EXPECT_EQ(bytes, (std::vector<std::byte>{std::byte{0xd1}, std::byte{0x58}, std::byte{0x1f}}));
  pack_bits(2, codes.data(), 3, bytes.data());
  EXPECT_EQ(bytes[0], std::byte{0x39});
}

TEST(PackBits, UnpackInverts) {
  base::RandomStream random(1, "pack_bits");
  for (const int bits : {2, 3, 4, 8}) {
    for (const int64_t count : {1, 2, 5, 8, 31, 64}) {
      std::vector<uint8_t> codes(static_cast<size_t>(count)), back(codes.size());
      for (uint8_t& code : codes) code = static_cast<uint8_t>(random.below(1 << bits));
      std::vector<std::byte> bytes(static_cast<size_t>(packed_bytes(bits, count)), std::byte{0xff});
      EXPECT_EQ(static_cast<int64_t>(bytes.size()), (count * bits + 7) / 8);
      pack_bits(bits, codes.data(), count, bytes.data());
      unpack_bits(bits, bytes.data(), count, back.data());
      EXPECT_EQ(back, codes) << bits << " bits, " << count << " codes";
    }
  }
}

}  // namespace
}  // namespace frugal::grid
