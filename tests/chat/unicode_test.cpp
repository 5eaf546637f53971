// Case mappings as such are judged by Python in template_test.cpp; all characters of them here by
// what must hold.
#include "chat/unicode.h"

#include <gtest/gtest.h>

namespace frugal::chat {
namespace {

std::string one(char32_t character) {
  std::string text;
  append_character(text, character);
  return text;
}

TEST(Unicode, EveryCharacterReadsBack) {
  for (uint32_t code = 0; code <= 0x10FFFF; ++code) {
    if (!is_character(code)) continue;
    const std::string text = one(code);
    size_t at = 0;
    ASSERT_EQ(next_character(text, at), code);
    ASSERT_EQ(at, text.size());
    ASSERT_EQ(count_characters(text), 1);
  }
  EXPECT_FALSE(is_character(0xD800));
  EXPECT_FALSE(is_character(0xDFFF));
  EXPECT_FALSE(is_character(0x110000));
}

TEST(Unicode, DamagedTextStaysWithinItsBytes) {
  for (const std::string_view text : {"\xF0", "\xE2\x82", "\xC3", "\xFF"}) {
    size_t at = 0;
    next_character(text, at);
    EXPECT_LE(at, text.size());
  }
}

TEST(Unicode, CaseMappingsGrowAtMostThreefold) {
  for (uint32_t code = 0; code <= 0x10FFFF; ++code) {
    if (!is_character(code)) continue;
    const std::string text = one(code);
    for (const std::string& mapped : {upper(text), lower(text), title(text), capitalize(text)})
      ASSERT_LE(mapped.size(), 3 * text.size()) << code;
    ASSERT_EQ(title(text), capitalize(text)) << code;
  }
}

TEST(Unicode, SigmaIsFinalBehindAWord) {
  EXPECT_EQ(lower("ΟΔΥΣΣΕΥΣ ΣΑΣ. Σ Α'Σ"), "οδυσσευς σας. σ α'ς");
  EXPECT_EQ(capitalize("ΣΑΣ"), "Σας");
  EXPECT_EQ(title("ΣΑΣ ΑΣ"), "Σας Ας");
}

TEST(Unicode, FindsCharactersByNumber) {
  const std::string_view text = "aé日𝔘";
  EXPECT_EQ(byte_of_character(text, 0), 0u);
  EXPECT_EQ(byte_of_character(text, 1), 1u);
  EXPECT_EQ(byte_of_character(text, 2), 3u);
  EXPECT_EQ(byte_of_character(text, 3), 6u);
  EXPECT_EQ(byte_of_character(text, 4), text.size());
}

TEST(Unicode, LinesEndAsPythonsDo) {
  const auto lines = split_lines("a\nb\r\nc\rd\ve\ff\x1cg\u0085h\u2028i\u2029", false);
  EXPECT_EQ(lines, (std::vector<std::string_view>{"a", "b", "c", "d", "e", "f", "g", "h", "i"}));
  EXPECT_EQ(split_lines("a\r\n\n", true), (std::vector<std::string_view>{"a\r\n", "\n"}));
  EXPECT_TRUE(split_lines("", false).empty());
}

}  // namespace
}  // namespace frugal::chat
