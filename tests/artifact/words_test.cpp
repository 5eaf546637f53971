#include "artifact/packed/words.h"

#include <gtest/gtest.h>

#include <vector>

namespace frugal::artifact {
namespace {

// Bit by bit, which the reader does not do.
std::vector<uint32_t> packed(const std::vector<uint8_t>& codes, int bits) {
  std::vector<uint32_t> words(
      static_cast<size_t>(words_for(static_cast<int64_t>(codes.size()), bits)));
  for (size_t i = 0; i < codes.size(); ++i) {
    for (int bit = 0; bit < bits; ++bit) {
      const size_t at = i * static_cast<size_t>(bits) + static_cast<size_t>(bit);
      words[at / 32] |= ((uint32_t{codes[i]} >> bit) & 1u) << (at % 32);
    }
  }
  return words;
}

TEST(Words, CodesOfEveryWidthLieDensely) {
  for (int bits = 1; bits <= 8; ++bits) {
    std::vector<uint8_t> codes;
    for (int i = 0; i < 77; ++i) codes.push_back(static_cast<uint8_t>((i * 37 + 11) % (1 << bits)));
    const std::vector<uint32_t> words = packed(codes, bits);
    EXPECT_EQ(words.size(), static_cast<size_t>((77 * bits + 31) / 32));
    const WordStream stream{reinterpret_cast<const std::byte*>(words.data())};
    for (size_t i = 0; i < codes.size(); ++i)
      EXPECT_EQ(code_at(stream, static_cast<int64_t>(i), bits), codes[i]) << bits << " " << i;
  }
}

TEST(Words, ArePackedAsTheyAreRead) {
  for (int bits = 1; bits <= 8; ++bits) {
    std::vector<uint8_t> codes;
    for (int i = 0; i < 77; ++i) codes.push_back(static_cast<uint8_t>((i * 37 + 11) % (1 << bits)));
    const std::vector<uint32_t> expected = packed(codes, bits);
    std::vector<uint32_t> words(expected.size());
    pack_words(codes.data(), 1, 77, bits, reinterpret_cast<std::byte*>(words.data()), 1);
    EXPECT_EQ(words, expected) << bits;
  }
}

// Codes and words of a matrix's second column of two.
TEST(Words, ArePackedDownAMatrix) {
  std::vector<uint8_t> codes;
  for (int i = 0; i < 9; ++i) {
    codes.push_back(15);
    codes.push_back(static_cast<uint8_t>(i));
  }
  std::vector<uint32_t> words(4, 99);
  pack_words(&codes[1], 2, 9, 4, reinterpret_cast<std::byte*>(&words[1]), 2);
  EXPECT_EQ(words, (std::vector<uint32_t>{99, 0x76543210, 99, 8}));
}

// Ten codes in a word, the eleventh across to the next: GPTQ's 3 bits.
TEST(Words, ThreeBitsCrossWords) {
  const std::vector<uint32_t> words = {(2u << 30) | 5u, 1u | (7u << 1), 0u};
  const WordStream stream{reinterpret_cast<const std::byte*>(words.data())};
  EXPECT_EQ(code_at(stream, 0, 3), 5);
  EXPECT_EQ(code_at(stream, 10, 3), 6);
  EXPECT_EQ(code_at(stream, 11, 3), 7);
}

TEST(Words, StreamsMayRunDownAMatrix) {
  const std::vector<uint32_t> words = {1, 2, 3, 4};  // [2, 2]
  const WordStream second{reinterpret_cast<const std::byte*>(&words[1]), 2};
  EXPECT_EQ(second.word(0), 2u);
  EXPECT_EQ(second.word(1), 4u);
}

TEST(Words, AwqOrdersTheCodesOfAWord) {
  const uint32_t word = 0x76543210;  // nibble i holds i
  const WordStream stream{reinterpret_cast<const std::byte*>(&word)};
  std::vector<int> found;
  for (int64_t i = 0; i < 8; ++i) found.push_back(awq_code_at(stream, i));
  // Nibble i holds code order[i], so that code j is in nibble 0, 4, 1, 5, 2, 6, 3, 7.
  EXPECT_EQ(found, (std::vector<int>{0, 4, 1, 5, 2, 6, 3, 7}));
}

}  // namespace
}  // namespace frugal::artifact
