#include "artifact/packed/module_targets.h"

#include <algorithm>

#include "base/text.h"

namespace frugal::artifact {

absl::StatusOr<ModuleTargets> ModuleTargets::parse(const base::Json& list, std::string_view where) {
  ModuleTargets result;
  if (list.is_null()) return result;
  if (!list.is_array()) return base::invalid_argument(where, " is no list of names");
  for (const base::Json& entry : list) {
    if (!entry.is_string())
      return base::invalid_argument(where, " holds something else than names");
    const auto text = entry.get<std::string>();
    constexpr std::string_view kPattern = "re:";
    if (!text.starts_with(kPattern)) {
      result.texts_.push_back(text);
      continue;
    }
    // As Python's re.match: from the beginning on, not to the end.
    auto pattern = text::Regex::compile(
        base::str_cat("\\A(?:", std::string_view(text).substr(kPattern.size()), ")"));
    if (!pattern.ok())
      return base::annotate(pattern.status(), base::str_cat(where, ": '", text.substr(0, 80), "'"));
    result.patterns_.push_back(*std::move(pattern));
  }
  return result;
}

absl::StatusOr<bool> ModuleTargets::names(const std::string& module,
                                          std::string_view module_class) const {
  for (const std::string& text : texts_) {
    if (text == module || text == module_class) return true;
  }
  for (const text::Regex& pattern : patterns_) {
    bool found = false;
    try {
      pattern.for_each_match(module, [&](size_t, size_t) { found = true; });
    } catch (const text::PatternLimit& limit) {
      return base::invalid_argument("the pattern '", pattern.pattern().substr(0, 80),
                                    "' takes too long on '", module, "': ", limit.what());
    }
    if (found) return true;
  }
  return false;
}

}  // namespace frugal::artifact
