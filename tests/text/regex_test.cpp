#include "text/regex.h"

#include "support/shared_data.h"
#include "text/pre_tokenizer.h"

namespace frugal::text {
namespace {

std::vector<std::string> matches(const Regex& regex, std::string_view text) {
  std::vector<std::string> found;
  regex.for_each_match(
      text, [&](size_t begin, size_t end) { found.emplace_back(text.substr(begin, end - begin)); });
  return found;
}

TEST(Regex, KnowsUnicodeClassesAndLookahead) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Regex words, Regex::compile(R"(\p{L}+|\p{N}| +(?!\S))"));
  EXPECT_EQ(matches(words, "naïve ١٢  x  "),
            (std::vector<std::string>{"naïve", "١", "٢", " ", "x", "  "}));
}

TEST(Regex, WhiteSpaceIsUnicodes) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Regex space, Regex::compile(R"(\s)"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Regex other, Regex::compile(R"(\S)"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Regex in_class, Regex::compile(R"([^\sx])"));
  for (const char* c :
       {"\t", "\v", "\r", "\u0085", "\u00A0", "\u1680", "\u2003", "\u2028", "\u3000"}) {
    EXPECT_EQ(matches(space, c).size(), 1u) << c;
    EXPECT_EQ(matches(other, c).size(), 0u) << c;
    EXPECT_EQ(matches(in_class, c).size(), 0u) << c;
  }
  for (const char* c : {"\u180E", "\u200B", "\uFEFF"}) EXPECT_EQ(matches(space, c).size(), 0u) << c;
}

TEST(Regex, WordsAndLinesAreOnigurumas) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Regex word, Regex::compile(R"(\w+)"));
  EXPECT_EQ(matches(word, "e\u0301a_b-7 ⅓"), (std::vector<std::string>{"e\u0301a_b", "7"}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Regex other, Regex::compile(R"([^\w\s]|^a)"));
  EXPECT_EQ(matches(other, "a!\na"), (std::vector<std::string>{"a", "!", "a"}));
}

TEST(Regex, LiteralsAreNotPatterns) {
  EXPECT_EQ(matches(Regex::literal("."), "a.b.").size(), 2u);
  EXPECT_EQ(matches(Regex::literal("aa"), "aaaaa").size(), 2u);
  EXPECT_TRUE(matches(Regex::literal(""), "abc").empty());
}

TEST(Regex, LongRunsNeedNoRecursion) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Regex words, Regex::compile(pre_tokenizer_pattern("qwen2")));
  const std::string text =
      std::string(300000, ' ') + "x" + std::string(300000, 'a') + std::string(1000, '!');
  EXPECT_EQ(matches(words, text).size(), 3u);  // all spaces but one; " xaaa…"; "!!!…"
}

// As a hostile tokenizer.json may hold them; each would take longer than anyone lives.
TEST(Regex, PatternsThatBacktrackWithoutBoundGiveUp) {
  // The last letter keeps PCRE2 from seeing at once that a pattern needs one that is not there.
  const std::string text = std::string(20000, 'a') + "!b";
  for (const char* pattern : {"(a+)+$", "(a|aa)+$", "(?:a*)*b", "(a*a*)*b", "(?=(a+)+b)x|(?<=c)a",
                              "(.*a){30}b", "((a{0,9}){0,9}){0,9}b", "(?:a+(?:a+(?:a+)*)*)*b"}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Regex hostile, Regex::compile(pattern));
    try {
      matches(hostile, text);
      ADD_FAILURE() << pattern << " came to an end";
    } catch (const PatternLimit& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(pattern));
      EXPECT_THAT(error.what(), testing::HasSubstr("of a text of 20002 bytes"));
    }
  }
}

TEST(Regex, EmptyMatchesAreNone) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Regex maybe, Regex::compile("a*"));
  EXPECT_EQ(matches(maybe, "baab"), (std::vector<std::string>{"aa"}));
}

TEST(Regex, SaysWhatIsWrong) {
  FRUGAL_EXPECT_ERROR(Regex::compile("a("), absl::StatusCode::kInvalidArgument,
                      "missing closing parenthesis");
  FRUGAL_EXPECT_ERROR(Regex::compile(std::string(100000, 'a')), absl::StatusCode::kInvalidArgument,
                      "at most");
}

}  // namespace
}  // namespace frugal::text
