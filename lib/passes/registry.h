// The one table of all passes.
#pragma once

#include "pass/pass.h"

namespace frugal::passes {

// In the order of `frugal passes`: the order in which a pipeline usually uses them.
const pass::Registry& registry();

}  // namespace frugal::passes
