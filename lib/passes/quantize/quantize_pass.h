// quantize: a checkpoint's matrices on a number grid.
#pragma once

#include <memory>

#include "pass/pass.h"

namespace frugal::passes {

std::unique_ptr<pass::Pass> make_quantize_pass();

}  // namespace frugal::passes
