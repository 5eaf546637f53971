// Whether the items of an evaluation can prove what is claimed of them, before anything runs.
#pragma once

#include "pass/pass.h"
#include "passes/evaluate/options.h"

namespace frugal::passes {

// Notes what share of changed answers the claim's items allow (one-sided 5%, 80% power, no true
// loss), and warns where that is less than 10% or the items prove the margin in no case. Silent
// where a plan cannot count the items.
void say_power(const EvaluateOptions& options, const EvaluateClaim& claim,
               pass::CheckContext& context, const pass::ModelInfo& model);

}  // namespace frugal::passes
