// export: a checkpoint as a file that a runtime loads.
#pragma once

#include <memory>

#include "pass/pass.h"

namespace frugal::passes {

std::unique_ptr<pass::Pass> make_export_pass();

}  // namespace frugal::passes
