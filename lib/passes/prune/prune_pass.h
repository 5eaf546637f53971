// prune: structured removal of feed-forward neurons.
#pragma once

#include <memory>

#include "pass/pass.h"

namespace frugal::passes {

std::unique_ptr<pass::Pass> make_prune_pass();

}  // namespace frugal::passes
