// smooth: scales of input channels moved between neighboring weights, so that a later rounding
// loses less.
#pragma once

#include <memory>

#include "pass/pass.h"

namespace frugal::passes {

std::unique_ptr<pass::Pass> make_smooth_pass();

}  // namespace frugal::passes
