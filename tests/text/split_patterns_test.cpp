#include "text/split_patterns.h"

#include "base/random.h"
#include "support/shared_data.h"
#include "text/regex.h"

namespace frugal::text {
namespace {

constexpr SplitPattern kAll[] = {SplitPattern::kGpt2, SplitPattern::kLlama3, SplitPattern::kQwen2,
                                 SplitPattern::kGpt4o, SplitPattern::kNumber};

using Ranges = std::vector<std::pair<size_t, size_t>>;

Ranges matches(const Regex& regex, std::string_view text, bool may_go_on) {
  Ranges found;
  const auto add = [&](size_t begin, size_t end) { found.emplace_back(begin, end); };
  if (may_go_on)
    regex.for_each_settled_match(text, add);
  else
    regex.for_each_match(text, add);
  return found;
}

// Short texts of what the patterns tell apart, so that everything stands beside everything.
std::string random_text(base::RandomStream& random) {
  constexpr std::string_view kParts[] = {
      "'",    "'s", "'S", "'Ll",   "'r",     "'re",    "'VE",    "'d", "'M",   "'t",    "a",
      "Z",    "bc", "XY", "Hello", "1",      "23",     "4567",   " ",  "  ",   "\n",    "\r",
      "\r\n", "\t", "\v", "\f",    "!",      "?!",     "/",      "_",  "\x01", "\x1c",  "\x7f",
      "é",    "ſ",  "É",  "中",    "\u00a0", "\u2028", "\u0301", "٣",  "🙂",   "\u180e"};
  std::string text;
  for (uint64_t n = random.below(12); n > 0; --n) text += kParts[random.below(std::size(kParts))];
  return text;
}

TEST(SplitPatterns, TheShortWayFindsWhatPcre2Finds) {
  base::RandomStream random(3, "split-patterns");
  for (const SplitPattern pattern : kAll) {
    const std::string text_of_it(pattern_text(pattern));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Regex known, Regex::compile(text_of_it));
    // The same to PCRE2, but none that is known by its text.
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Regex defined, Regex::compile("(?:" + text_of_it + ")"));
    for (int round = 0; round < 20000; ++round) {
      const std::string text = random_text(random);
      for (const bool may_go_on : {false, true}) {
        ASSERT_EQ(matches(known, text, may_go_on), matches(defined, text, may_go_on))
            << text_of_it << "\nin '" << text << "'" << (may_go_on ? ", going on" : "");
      }
    }
  }
}

TEST(SplitPatterns, AsciiNeedsNoPcre2) {
  for (const SplitPattern pattern : kAll) {
    std::string text = "The quick 'brown' fox, isn't it?\n\n\t42 is HALF of 84...";
    for (size_t at = 0; at < text.size();) {
      const auto match = ascii_match(pattern, text, at, false);
      ASSERT_TRUE(match.has_value()) << pattern_text(pattern) << " at " << at;
      if (match->begin == match->end) break;
      at = match->end;
    }
    EXPECT_EQ(ascii_match(pattern, "é1", 0, false), std::nullopt);
  }
  EXPECT_EQ(find_split_pattern(pattern_text(SplitPattern::kGpt2)), SplitPattern::kGpt2);
  EXPECT_EQ(find_split_pattern("\\p{L}+"), std::nullopt);
}

}  // namespace
}  // namespace frugal::text
