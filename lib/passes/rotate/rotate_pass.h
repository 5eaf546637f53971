// rotate: rotates the residual stream and the value heads of a model by random orthogonal matrices.
#pragma once

#include <memory>

#include "pass/pass.h"

namespace frugal::passes {

std::unique_ptr<pass::Pass> make_rotate_pass();

}  // namespace frugal::passes
