// Regular expressions of tokenizers: PCRE2 with Unicode properties, just-in-time compiled. `\s`
// means Unicode's White_Space, as in Oniguruma (Hugging Face): PCRE2's own also holds U+180E; `\w`
// letters, marks, decimal digits and connectors: PCRE2's own has no marks; and `^`
// and `$` stand at the ends of lines.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "text/split_patterns.h"

namespace frugal::text {

// A pattern that would take too long at some place of a text: it backtracks, and a tokenizer.json
// that holds it would hang whoever reads text with it.
class PatternLimit : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Regex {
 public:
  // Errors: InvalidArgument with the place and what is wrong with the pattern.
  static absl::StatusOr<Regex> compile(std::string_view pattern);

  // Matches only the text itself.
  static Regex literal(std::string_view text);

  // Calls `match(begin, end)` for every non-empty match in `text` (valid UTF-8), from left to
  // right, not overlapping. At any one place a match may take a million steps and 64 for every byte
  // of the text; patterns of published tokenizers take one or two for a character. Throws
  // PatternLimit beyond that, std::bad_alloc where the matcher runs out of memory.
  using Match = absl::FunctionRef<void(size_t, size_t)>;
  void for_each_match(std::string_view text, Match match) const;

  // As for_each_match, where `text` may go on: calls `match` for those matches only that whatever
  // follows cannot change, in a text that may be cut in front of any of them. None for a pattern
  // that looks at what is in front of a match.
  void for_each_settled_match(std::string_view text, Match match) const;

  const std::string& pattern() const { return pattern_; }
  bool is_literal() const { return code_ == nullptr; }

 private:
  class Matcher;
  void match_all(std::string_view text, bool may_go_on, Match match) const;
  bool looks_back() const;

  struct Code;
  std::string pattern_;
  std::optional<SplitPattern> known_;  // has a shorter way through ASCII
  std::shared_ptr<const Code> code_;   // null: a literal
};

}  // namespace frugal::text
