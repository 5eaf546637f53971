// Which modules a list of compressed-tensors' `targets` or `ignore` names: a module's name, its
// class ("Linear"), or "re:" and a pattern that the name must begin with a match of.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "text/regex.h"

namespace frugal::artifact {

class ModuleTargets {
 public:
  // Errors: no list of texts; a pattern that is none, with its place.
  static absl::StatusOr<ModuleTargets> parse(const base::Json& list, std::string_view where);
  // Errors: a pattern that takes too long.
  absl::StatusOr<bool> names(const std::string& module, std::string_view module_class) const;

 private:
  std::vector<std::string> texts_;
  std::vector<text::Regex> patterns_;
};

}  // namespace frugal::artifact
