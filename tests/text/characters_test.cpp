#include "text/characters.h"

#include "support/shared_data.h"
#include "text/utf8.h"

namespace frugal::text {
namespace {

std::string each(std::string_view text, void (*append)(char32_t, std::string&)) {
  std::string out;
  while (!text.empty()) {
    const Utf8Character character = first_character(text);
    append(character.code_point, out);
    text.remove_prefix(character.length);
  }
  return out;
}

TEST(Characters, Kinds) {
  for (const char32_t c : {U' ', U'\t', U'\u0085', U'\u00A0', U'\u2028', U'\u3000'})
    EXPECT_TRUE(is_white_space(c));
  for (const char32_t c : {U'a', U'\u200B', U'\u180E', U'\uFEFF'}) EXPECT_FALSE(is_white_space(c));
  for (const char32_t c : {U'a', U'_', U'7', U'\u0301', U'中', U'\u200D', U'Ⅷ'})
    EXPECT_TRUE(is_word_character(c));
  for (const char32_t c : {U' ', U'-', U'½', U'\U0001F600'}) EXPECT_FALSE(is_word_character(c));
  EXPECT_TRUE(is_mark(U'\u0903'));
  EXPECT_FALSE(is_mark(U'a'));
}

TEST(Characters, AreWrittenOtherwise) {
  EXPECT_EQ(each("ÀΣİß", append_lower), "àσi\u0307ß");
  EXPECT_EQ(each("\u1c89\U00010D51", append_lower), "\u1c8a\U00010D71");  // of Unicode 16
  EXPECT_EQ(each("e\u0301x\u20dd", append_unless_mark), "ex");
  EXPECT_EQ(each("a\U00010F46", append_unless_mark), "a\U00010F46");  // a mark of Unicode 11
  EXPECT_EQ(each("a\tb\u200bc\x01\ufeff", append_nmt), "a b c ");
}

}  // namespace
}  // namespace frugal::text
