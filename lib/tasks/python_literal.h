// Python's literals, as ast.literal_eval reads them: what a template prints of a list and a task
// file wants back as one.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace frugal::tasks {

// Texts, numbers, True, False, None, lists, tuples and dictionaries with text keys; tuples become
// lists. Errors: anything else, nesting deeper than 64.
absl::StatusOr<base::Json> parse_python_literal(std::string_view text);

}  // namespace frugal::tasks
