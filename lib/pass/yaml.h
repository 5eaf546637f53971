// YAML to the tree of document.h and back. Stricter than yaml-cpp: duplicate keys, merge keys (<<),
// anchors, aliases, tags, several documents and keys that are no text are refused.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "pass/document.h"

namespace frugal::pass {

// The tree of `text`; what is wrong goes to `problems` (a syntax error ends the reading, everything
// else is collected).
Node parse_yaml(std::string_view text, Problems& problems);

// Block style, keys in order; lists of scalars on one line. parse_yaml of it gives the same values.
std::string print_yaml(const base::Json& value);

}  // namespace frugal::pass
