// evaluate: how good a model is, with intervals, and how it compares with a reference on the same
// items.
#pragma once

#include <memory>

#include "pass/pass.h"

namespace frugal::passes {

std::unique_ptr<pass::Pass> make_evaluate_pass();

}  // namespace frugal::passes
