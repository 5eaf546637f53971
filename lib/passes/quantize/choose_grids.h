// Which candidate each free matrix gets under a target: predicted by sensitivity, chosen as a
// knapsack, corrected by measurement.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/checkpoint.h"
#include "layerwise/walk/calibration.h"
#include "pass/pass.h"
#include "passes/quantize/allocation.h"
#include "passes/quantize/target.h"

namespace frugal::passes {

struct GridAssignment {
  std::vector<AllocationItem> items;  // of TargetPlan::free: bytes and predicted costs in nats
  Allocation allocation;
  std::optional<double> measured_first;  // KL on held-out windows before and behind the swaps;
  std::optional<double> measured;        // absent where there are no such windows
  int64_t swaps_tried = 0, swaps_kept = 0;
};

struct ChooseOptions {
  at::Device device = at::kCPU;
  model::Precision precision = model::Precision::kFloat32;
  uint64_t seed = 1;
  bool importance = true;         // of the search for scales
  int64_t min_expert_tokens = 1;  // as WalkOptions; at least 1 where expert_blend is 0
  double expert_blend = 0;
  int64_t swaps = 0;
  std::string title;           // of progress lines
  std::filesystem::path file;  // the result is kept here, and taken from here where it is there
  std::string stamp;           // any text: a file with another is taken for absent
};

// `budget`: bytes of the free matrices together. Sensitivities come from `windows.seen`, measured
// divergences from `windows.held_out`. Holds the original model and a rounded copy in memory.
// Errors: those of loading, walking and rounding; a damaged file; interruption.
absl::StatusOr<GridAssignment> choose_grids(const format::Checkpoint& input, const TargetPlan& plan,
                                            int64_t budget,
                                            const layerwise::CalibrationSplit& windows,
                                            const ChooseOptions& options);

// Table `allocation` and the statistics of the choice.
void report_assignment(pass::RunContext& context, const TargetPlan& plan,
                       const GridAssignment& assignment);

}  // namespace frugal::passes
