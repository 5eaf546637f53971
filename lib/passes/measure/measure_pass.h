// measure: speed and energy of inference, prefill and decode apart.
#pragma once

#include <memory>

#include "pass/pass.h"

namespace frugal::passes {

std::unique_ptr<pass::Pass> make_measure_pass();

}  // namespace frugal::passes
