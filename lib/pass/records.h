// What the journal says of machine, models and steps. Internal to this room.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "pass/plan.h"

namespace frugal::pass {

// `machine` of run_start. `device`: as people read it.
base::Json machine_json(const std::string& device);

// `report` of run_start: what the pipeline promises.
base::Json report_json(const ReportEntry& report);

// What the report is to know of a checkpoint.
base::Json describe_checkpoint(const format::Checkpoint& checkpoint);

// The same of a model that was given, whatever it is.
base::Json describe_model(const ModelInput& input);

// The fields of step_start.
base::Json start_fields(const Unit& unit);

// [{path, bytes, sha256}] of every file below `folder`, by name, paths relative to it; progress
// where that takes long. Errors: a file that cannot be read; an interruption.
absl::StatusOr<base::Json> hash_files(const std::filesystem::path& folder, std::string_view title);

// `output` of step_end: checks what the pass left behind and hashes it. Errors: nothing is there,
// or a checkpoint that cannot be opened.
absl::StatusOr<base::Json> describe_output(const Unit& unit, const std::filesystem::path& folder);

}  // namespace frugal::pass
