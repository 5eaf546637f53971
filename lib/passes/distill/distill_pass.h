// distill: trains a student on a teacher's distributions.
#pragma once

#include <memory>

#include "pass/pass.h"

namespace frugal::passes {

std::unique_ptr<pass::Pass> make_distill_pass();

}  // namespace frugal::passes
