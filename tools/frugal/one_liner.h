// A pass as one command: the pipeline it stands for.
#pragma once

#include "commands.h"
#include "pass/pass.h"
#include "pass/pipeline.h"

namespace frugal::tool {

// One step, or two when the suffix of --out asks for an export. Files given to data options become
// entries of `data:`, folders given to model options become `models:`.
pass::Pipeline pipeline_of(const PassArguments& arguments, const pass::Registry& registry,
                           pass::Problems& problems);

}  // namespace frugal::tool
