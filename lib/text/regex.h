// Regular expressions of tokenizers: PCRE2 with Unicode properties, just-in-time compiled. `\s`
// means Unicode's White_Space, as in Oniguruma (Hugging Face): PCRE2's own also holds U+180E.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/status.h"

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
  void for_each_match(std::string_view text,
                      const std::function<void(size_t, size_t)>& match) const;

  // As for_each_match, where `text` may go on: calls `match` for those matches only that whatever
  // follows cannot change, in a text that may be cut in front of any of them. None for a pattern
  // that looks at what is in front of a match.
  void for_each_settled_match(std::string_view text,
                              const std::function<void(size_t, size_t)>& match) const;

  const std::string& pattern() const { return pattern_; }
  bool is_literal() const { return code_ == nullptr; }

 private:
  void match_all(std::string_view text, bool may_go_on,
                 const std::function<void(size_t, size_t)>& match) const;
  bool looks_back() const;

  struct Code;
  std::string pattern_;
  std::shared_ptr<const Code> code_;  // null: a literal
};

}  // namespace frugal::text
