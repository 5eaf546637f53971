// What the commands share: planning, running, printing of problems.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "commands.h"
#include "energy/window.h"
#include "pass/cache.h"
#include "pass/pipeline.h"
#include "pass/plan.h"
#include "pass/runner.h"

namespace frugal::tool {

// "frugal: text" on standard error; returns `code`.
int fail(std::string_view text, int code);
// Exit code of an error that stopped everything: 2 for what the user wrote, 130 for an
// interruption, else 1.
int exit_code(const absl::Status& status);

std::filesystem::path run_folder(const RunArguments& arguments, std::string_view name);
std::filesystem::path cache_folder(const RunArguments& arguments, std::string_view name);

// Sets logging and progress as --json and --quiet ask.
void set_output(const RunArguments& arguments);

absl::StatusOr<energy::MeterSet> open_meters(const std::string& hardware);

// A plan with the cache it was made for.
struct Planned {
  pass::Cache cache;
  pass::Plan plan;
};
absl::StatusOr<Planned> make_plan(pass::Pipeline pipeline, const RunArguments& arguments,
                                  bool read_weights, pass::Problems problems);

// Opens device and meters, runs, draws the report, prints the verdict. `publish` (may be empty) is
// called when the run is done, with its result.
int execute(const Planned& planned, const RunArguments& arguments,
            const std::function<absl::Status(const pass::RunResult&)>& publish);

// Prints the plan as a table or as JSON.
int print_plan(const Planned& planned, const RunArguments& arguments);

}  // namespace frugal::tool
