// A pass as one command: the pipeline it stands for, and where its result goes.
#pragma once

#include <filesystem>
#include <string>

#include "base/status.h"
#include "commands.h"
#include "pass/pass.h"
#include "pass/pipeline.h"

namespace frugal::tool {

// One step, or two when the suffix of --out asks for an export. Files given to data options become
// entries of `data:`, folders given to model options become `models:`.
pass::Pipeline pipeline_of(const PassArguments& arguments, const pass::Registry& registry,
                           pass::Problems& problems);

// Copies the result of the last step to `out`: a file, or a folder; it appears by one rename.
absl::Status publish_result(const std::filesystem::path& result, const std::filesystem::path& out,
                            bool force);

}  // namespace frugal::tool
