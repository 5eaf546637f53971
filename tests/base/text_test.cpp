#include "base/text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"

namespace frugal::base {
namespace {

using namespace std::string_literals;

TEST(Text, ConcatenatesStringViewsAndNumbers) {
  EXPECT_EQ(str_cat("a", std::string_view("b"), std::string("c"), 7, -2, 1.5), "abc7-21.5");
}

TEST(Text, JoinAndSplitAreInverse) {
  const std::vector<std::string> parts = {"", "a", "", "bc", ""};
  EXPECT_EQ(join(parts, ","), ",a,,bc,");
  EXPECT_EQ(split(",a,,bc,", ','), parts);
  EXPECT_EQ(split("", ','), std::vector<std::string>{""});
  EXPECT_EQ(join({}, ","), "");
}

TEST(Text, TrimsAsciiWhiteSpaceOnly) {
  EXPECT_EQ(trim(" \t\r\n a b \v\f"), "a b");
  EXPECT_EQ(trim(" \n"), "");
  EXPECT_EQ(trim("\u00a0x"), "\u00a0x");  // a no-break space is not ASCII
}

TEST(Text, AcceptsEveryCodePointAndRefusesIllFormedUtf8) {
  EXPECT_TRUE(is_valid_utf8("plain"s + '\0' + "äöü €𝄞"));
  EXPECT_TRUE(is_valid_utf8("\xF4\x8F\xBF\xBF"));  // U+10FFFF
  EXPECT_TRUE(is_valid_utf8("\xED\x9F\xBF"));      // U+D7FF, last before the surrogates
  for (const char* bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80",
                          "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xC3",
                          "\xE2\x82", "\xF0\x9D\x84", "\xE2\x28\xA1", "a\xFF"}) {
    EXPECT_FALSE(is_valid_utf8(bad)) << testing::PrintToString(std::string(bad));
  }
}

TEST(Text, MatchesGlobs) {
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_TRUE(glob_match("model.layers.*.mlp.*", "model.layers.31.mlp.up_proj.weight"));
  EXPECT_TRUE(glob_match("*/?.bin", "a/b/c.bin"));
  EXPECT_TRUE(glob_match("a*b*c", "aXbXbXc"));
  EXPECT_FALSE(glob_match("a*b*c", "aXbXbX"));
  EXPECT_FALSE(glob_match("?", ""));
  EXPECT_FALSE(glob_match("abc", "ab"));
  EXPECT_FALSE(glob_match("", "a"));
  EXPECT_TRUE(glob_match("[a]", "[a]"));  // brackets stand for themselves
}

// The textbook recursion, too slow for use and hard to get wrong.
bool slow_match(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    return slow_match(pattern.substr(1), text) ||
           (!text.empty() && slow_match(pattern, text.substr(1)));
  }
  return !text.empty() && (pattern[0] == '?' || pattern[0] == text[0]) &&
         slow_match(pattern.substr(1), text.substr(1));
}

TEST(Text, GlobAgreesWithTheRecursion) {
  RandomStream random(1, "glob");
  int matches = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    std::string pattern, text;
    for (uint64_t i = random.below(7); i > 0; --i) pattern += "ab*?"[random.below(4)];
    for (uint64_t i = random.below(9); i > 0; --i) text += "ab"[random.below(2)];
    ASSERT_EQ(glob_match(pattern, text), slow_match(pattern, text)) << pattern << " on " << text;
    matches += glob_match(pattern, text) ? 1 : 0;
  }
  EXPECT_GT(matches, 1000);  // both answers were tried
}

TEST(Text, SuggestsLikelyMisspellingsOnly) {
  const std::vector<std::string> names = {"quantize", "prune",  "q4_k",
                                          "q4_0",     "iq4_nl", "calibration"};
  EXPECT_EQ(nearest("quantise", names), "quantize");
  EXPECT_EQ(nearest("Q4-K", names), "q4_k");
  EXPECT_EQ(nearest("qantize", names), "quantize");
  EXPECT_EQ(nearest("prnue", names), "prune");  // a transposition is one edit
  EXPECT_EQ(nearest("calibratoin", names), "calibration");
  EXPECT_EQ(nearest("banana", names), std::nullopt);
  EXPECT_EQ(nearest("", names), std::nullopt);
  EXPECT_EQ(nearest("x", std::vector<std::string>{"y"}), std::nullopt);
  EXPECT_EQ(suggestion("quantise", names), "; did you mean 'quantize'?");
  EXPECT_EQ(suggestion("banana", std::vector<std::string>{"a", "b"}), "; expected one of a, b");
  EXPECT_EQ(suggestion("banana", {}), "");
}

TEST(Text, LongListsOfNamesAreCut) {
  std::vector<std::string> names;
  for (int i = 0; i < 20; ++i) names.push_back(str_cat("candidate-", i));
  const std::string text = suggestion("zzz", names);
  EXPECT_NE(text.find("candidate-11 and 8 more"), std::string::npos) << text;
}

TEST(Text, FormatsBytes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(1.5 * 1024 * 1024), "1.5 MiB");
  EXPECT_EQ(format_bytes(1024.0 * 1024 - 1), "1.0 MiB");  // never "1024.0 KiB"
  EXPECT_EQ(format_bytes(2.3 * 1024 * 1024 * 1024), "2.3 GiB");
  EXPECT_EQ(format_bytes(-2048), "-2.0 KiB");
  EXPECT_EQ(format_bytes(std::nan("")), "unknown");
}

TEST(Text, FormatsDurations) {
  EXPECT_EQ(format_duration(0), "0 s");
  EXPECT_EQ(format_duration(0.0005), "0.50 ms");
  EXPECT_EQ(format_duration(0.012), "12 ms");
  EXPECT_EQ(format_duration(0.8), "0.8 s");
  EXPECT_EQ(format_duration(9.96), "10 s");
  EXPECT_EQ(format_duration(59.7), "1 min 00 s");  // never "60 s"
  EXPECT_EQ(format_duration(125), "2 min 05 s");
  EXPECT_EQ(format_duration(3599.6), "1 h 00 min");
  EXPECT_EQ(format_duration(11400), "3 h 10 min");
  EXPECT_EQ(format_duration(90000), "1 d 01 h");
  EXPECT_EQ(format_duration(-1), "unknown");
  EXPECT_EQ(format_duration(std::numeric_limits<double>::infinity()), "unknown");
}

TEST(Text, FormatsCounts) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1,000");
  EXPECT_EQ(format_count(1234567), "1,234,567");
  EXPECT_EQ(format_count(-123456), "-123,456");
  EXPECT_EQ(format_count(std::numeric_limits<int64_t>::min()), "-9,223,372,036,854,775,808");
}

}  // namespace
}  // namespace frugal::base
