// Regular expressions of task files, as Python's `re` uses them, by PCRE2: findall and sub.
//
// The syntax is PCRE2's, which is Python's for what task files write; `\Z` is translated. What a
// pattern may cost is bounded.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace frugal::tasks {

class PythonRegex {
 public:
  // Errors: InvalidArgument with the pattern, the place and what is wrong with it.
  static absl::StatusOr<PythonRegex> compile(std::string_view pattern);

  // re.findall: for each match its groups, or the match itself where the pattern has none; a group
  // that took no part is empty. Errors: a match that would take too long.
  absl::StatusOr<std::vector<std::vector<std::string>>> find_all(std::string_view text) const;

  // re.sub with an empty replacement.
  absl::StatusOr<std::string> remove_all(std::string_view text) const;

  const std::string& pattern() const { return pattern_; }

 private:
  struct Code;
  struct Match;
  absl::StatusOr<std::vector<Match>> matches(std::string_view text) const;
  std::string pattern_;
  std::shared_ptr<const Code> code_;
};

}  // namespace frugal::tasks
