// The only place where passes run: cache, staging, meters, journal, links, interruption.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "energy/window.h"
#include "pass/cache.h"
#include "pass/console.h"
#include "pass/plan.h"

namespace frugal::pass {

inline constexpr int kExitDone = 0, kExitFailed = 1, kExitUsage = 2, kExitGate = 3,
                     kExitInterrupted = 130;

struct RunOptions {
  std::filesystem::path run_folder;
  std::string device = "cpu";      // as passes see it
  std::string device_description;  // as people read it
  double idle_seconds = 2;         // of the idle windows before and after; 0 = none
  OutputStyle style = OutputStyle::kText;
  bool color = false;
  std::string command;  // as typed, for the journal and for the hint how to resume
  std::string version;  // of frugal
  // What numbers of the run rest on besides its inputs: {kind, file}, "cpu": the profile of the
  // modelled meter. Copied into the run folder, with those of the plan.
  std::vector<FactorFile> factor_files = {};
  // Draws the report when the run is over; may be empty.
  std::function<absl::Status(const std::filesystem::path&)> report;
};

struct RunResult {
  int exit_code = kExitDone;
  std::string message;  // why not 0
  int64_t steps_run = 0;
  int64_t steps_cached = 0;
  // Where each unit's output lies in the cache, in the order of the plan; empty where it has none
  // or did not run.
  std::vector<std::filesystem::path> outputs;
  // The paths of its files and folders below the run folder (RunFolder::publish), likewise.
  std::vector<std::vector<std::string>> paths;
};

// Runs a plan without problems. An error is one of the run folder or journal; what happens to steps
// is in the result.
absl::StatusOr<RunResult> run_plan(const Plan& plan, const Cache& cache, energy::MeterSet& meters,
                                   const RunOptions& options);

// Whether the steps' `comparison` rows meet the claim's gate ("none", "any", "all"); the reason
// when not.
struct GateResult {
  bool met = true;
  std::string reason;
};
GateResult judge_gate(const Claim& claim, const std::vector<base::Json>& step_records);

}  // namespace frugal::pass
