// ${name} in a pipeline file.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "pass/document.h"

namespace frugal::pass {

// The values of `vars` (a map node, or null) with `settings` put over the defaults. Problems:
// unknown settings, variables without a value, values that are neither scalars nor lists of
// scalars.
std::map<std::string, Node> variable_values(
    const Node* vars, const std::vector<std::pair<std::string, std::string>>& settings,
    Problems& problems);

// Replaces ${name} in every scalar below `node`. A scalar that is exactly one ${name} takes the
// whole value, also a list.
void substitute(Node& node, const std::map<std::string, Node>& values, Problems& problems);

}  // namespace frugal::pass
