// tune: a quantized checkpoint's scales, trained against the model it was made from.
#pragma once

#include <memory>

#include "pass/pass.h"

namespace frugal::passes {

std::unique_ptr<pass::Pass> make_tune_pass();

}  // namespace frugal::passes
