#include "text/added_tokens.h"

#include <gtest/gtest.h>

namespace frugal::text {
namespace {

std::vector<std::string> split(const AddedTokenMatcher& matcher, std::string_view text,
                               bool special = true) {
  std::vector<std::string> parts;
  for (const TextPart& part : matcher.split(text, special)) {
    parts.push_back((part.id >= 0 ? std::to_string(part.id) + ":" : "") +
                    std::string(text.substr(part.begin, part.end - part.begin)));
  }
  return parts;
}

TEST(AddedTokens, TakesTheLongestAtTheLeftmostPlace) {
  AddedTokenMatcher matcher;
  matcher.add({1, "<a>", false, false, false, false, true}, "<a>");
  matcher.add({2, "<a>b", false, false, false, false, false}, "<a>b");
  matcher.add({3, "b<a", false, false, false, false, false}, "b<a");
  EXPECT_EQ(split(matcher, "x<a>b<a>"), (std::vector<std::string>{"x", "2:<a>b", "1:<a>"}));
  EXPECT_EQ(split(matcher, "x<a>", false),
            (std::vector<std::string>{"x<a>"}));  // special tokens as text
  EXPECT_EQ(split(matcher, "b<a>"), (std::vector<std::string>{"3:b<a", ">"}));
  EXPECT_TRUE(split(matcher, "").empty());
}

TEST(AddedTokens, StripsAndRespectsWords) {
  AddedTokenMatcher matcher;
  matcher.add({1, "L", false, true, false, false, false}, "L");
  matcher.add({2, "R", false, false, true, false, false}, "R");
  matcher.add({3, "word", true, false, false, false, false}, "word");
  EXPECT_EQ(split(matcher, "a \u00a0L b"), (std::vector<std::string>{"a", "1: \u00a0L", " b"}));
  EXPECT_EQ(split(matcher, "a R \n L"), (std::vector<std::string>{"a ", "2:R \n ", "1:L"}));
  EXPECT_EQ(split(matcher, "word, sword wordé _word"),
            (std::vector<std::string>{"3:word", ", sword wordé _word"}));
}

TEST(AddedTokens, WithoutTokensTheTextIsOnePart) {
  EXPECT_EQ(split(AddedTokenMatcher(), "abc"), (std::vector<std::string>{"abc"}));
}

}  // namespace
}  // namespace frugal::text
