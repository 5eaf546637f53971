// The patterns that published tokenizers cut texts with, and how they match in ASCII, which most
// texts mostly are. What a pattern means is PCRE2's to say (regex.h): this is a shorter way to the
// same matches, and knows where it does not know.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace frugal::text {

enum class SplitPattern { kGpt2, kLlama3, kQwen2, kGpt4o, kNumber };

// The text of a pattern.
std::string_view pattern_text(SplitPattern pattern);
// The pattern that has this text, if it is one of them.
std::optional<SplitPattern> find_split_pattern(std::string_view text);

struct TextRange {
  size_t begin = 0;
  size_t end = 0;
};
// The first non-empty match of `pattern` in `text` at or behind `at`, which is inside of it; {size,
// size} where there is none. Nullopt where a character that is not ASCII has a say in it or, if the
// text `may_go_on`, its end has.
std::optional<TextRange> ascii_match(SplitPattern pattern, std::string_view text, size_t at,
                                     bool may_go_on);

}  // namespace frugal::text
