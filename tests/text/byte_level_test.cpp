#include "text/byte_level.h"

#include <gtest/gtest.h>

#include <set>

namespace frugal::text {
namespace {

TEST(ByteLevel, IsABijection) {
  std::set<char32_t> characters;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char32_t c = byte_to_character(static_cast<unsigned char>(byte));
    characters.insert(c);
    EXPECT_EQ(character_to_byte(c), static_cast<unsigned char>(byte));
  }
  EXPECT_EQ(characters.size(), 256u);
}

TEST(ByteLevel, IsGpt2sAlphabet) {
  EXPECT_EQ(to_byte_level(" a\n\t"), "ĠaĊĉ");
  EXPECT_EQ(to_byte_level("\xAD\x7F"), "Ńġ");
  EXPECT_EQ(from_byte_level("Ġworld"), " world");
  EXPECT_EQ(from_byte_level("▁"), std::nullopt);
  EXPECT_EQ(from_byte_level("a b"), std::nullopt);  // a space is not in the alphabet
  EXPECT_EQ(from_byte_level("\xFF"), std::nullopt);
}

}  // namespace
}  // namespace frugal::text
