#include "text/regex_classes.h"

#include "support/shared_data.h"
#include "text/regex.h"

namespace frugal::text {
namespace {

bool matches(std::string_view pattern, std::string_view text) {
  const auto regex = Regex::compile(pattern);
  if (!regex.ok()) {
    ADD_FAILURE() << pattern << ": " << regex.status();
    return false;
  }
  bool whole = false;
  regex->for_each_match(
      text, [&](size_t begin, size_t end) { whole = whole || (begin == 0 && end == text.size()); });
  return whole;
}

TEST(RegexClasses, WhatIsNoClassStays) {
  for (const char* pattern : {"abc", "[a\\]b]", "\\\\p{L}", "\\p{Han}", "\\n", "\\p", "\\pL"})
    EXPECT_EQ(with_unicode_classes(pattern), pattern);
}

TEST(RegexClasses, LaterCharactersBelongToTheirCategories) {
  EXPECT_TRUE(matches("\\p{L}", "\u1c89"));  // Unicode 16
  EXPECT_TRUE(matches("[x\\p{Lu}]", "\u1c89"));
  EXPECT_FALSE(matches("\\p{Ll}", "\u1c89"));
  EXPECT_FALSE(matches("\\P{L}", "\u1c89"));
  EXPECT_TRUE(matches("\\p{Lo}", "\U00031350"));  // Unicode 15
  EXPECT_TRUE(matches("\\p{N}{2}", "\U0001E4F0\U0001D2C0"));
  EXPECT_TRUE(matches("\\p{M}+", "\u0ece\u0301"));
  EXPECT_FALSE(matches("[^\\s\\p{L}\\p{N}]", "\U0001E4F0"));
  EXPECT_TRUE(matches("\\p{S}\\p{P}", "\U0001FAE8\u1b4e"));
  EXPECT_TRUE(matches("\\w+", "a\u0301_\u1c89\U0001E4F0\u00b2"));
  EXPECT_TRUE(matches("\\W", "\u2070"));
  EXPECT_TRUE(matches("\\d[\\d]", "7\U0001E4F0"));
  EXPECT_FALSE(matches("\\D", "\U0001E4F0"));
}

}  // namespace
}  // namespace frugal::text
