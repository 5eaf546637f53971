// Regular expressions of tokenizers: PCRE2 with Unicode properties, just-in-time compiled. `\s`
// means Unicode's White_Space, as in Oniguruma (Hugging Face): PCRE2's own also holds U+180E.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace frugal::text {

class Regex {
 public:
  // Errors: InvalidArgument with the place and what is wrong with the pattern.
  static absl::StatusOr<Regex> compile(std::string_view pattern);

  // Matches only the text itself.
  static Regex literal(std::string_view text);

  // Calls `match(begin, end)` for every non-empty match in `text` (valid UTF-8), from left to
  // right, not overlapping. Throws std::bad_alloc where the matcher runs out of memory.
  void for_each_match(std::string_view text,
                      const std::function<void(size_t, size_t)>& match) const;

  const std::string& pattern() const { return pattern_; }

 private:
  struct Code;
  std::string pattern_;
  std::shared_ptr<const Code> code_;  // null: a literal
};

}  // namespace frugal::text
