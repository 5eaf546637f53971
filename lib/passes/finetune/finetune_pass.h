// finetune: goes on training a checkpoint on its task.
#pragma once

#include <memory>

#include "pass/pass.h"

namespace frugal::passes {

std::unique_ptr<pass::Pass> make_finetune_pass();

}  // namespace frugal::passes
