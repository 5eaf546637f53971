// What passes that tune scales share: their report.
#pragma once

#include "pass/pass.h"
#include "train/scale_tuning.h"

namespace frugal::passes {

// Statistics kl_before, kl_after, ... and the tables `tuning` and `validation`.
void report_tuning(pass::RunContext& context, const train::ScaleTuningResult& result);

}  // namespace frugal::passes
