// What the commands share: planning, running, printing of problems.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "commands.h"
#include "device.h"
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

// `device`: what the run computes on ("cpu", "cuda:1"); of the GPUs its board alone is metered. "":
// nothing of ours, so that every GPU that CUDA shows counts.
absl::StatusOr<energy::MeterSet> open_meters(const std::string& hardware,
                                             const std::string& device);

// A plan with the cache and the device it was made for.
struct Planned {
  pass::Cache cache;
  pass::Plan plan;
  Device device;
};
// Opens the device first: what is cached depends on it.
absl::StatusOr<Planned> make_plan(pass::Pipeline pipeline, const RunArguments& arguments,
                                  bool read_weights, pass::Problems problems);

// Opens the meters, runs, draws the report, prints the verdict. `publish` (may be empty) is
// called when the run is done, with its result.
int execute(const Planned& planned, const RunArguments& arguments,
            const std::function<absl::Status(const pass::RunResult&)>& publish);

// The folder of a model that a command names: `model` itself, or what its file becomes in the
// cache.
absl::StatusOr<std::filesystem::path> model_folder(const std::string& model,
                                                   const RunArguments& arguments);

// Prints the plan as a table or as JSON.
int print_plan(const Planned& planned, const RunArguments& arguments);

}  // namespace frugal::tool
