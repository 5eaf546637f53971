// A target for the size of a quantized model, and which grids may be chosen to meet it: decided
// from metadata, the same in check and run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "architecture/model_config.h"
#include "base/status.h"
#include "pass/options.h"
#include "passes/quantize/plan.h"

namespace frugal::passes {

struct TargetOptions {
  double target_bits = 0;   // per weight that goes to a grid, scales included; 0 = none
  int64_t target_size = 0;  // bytes of all weights of the model; 0 = none
  std::vector<std::string> candidates;
  int64_t swaps = 24;

  bool active() const { return target_bits > 0 || target_size > 0; }
};

void visit_target_options(pass::OptionVisitor& visitor, TargetOptions& options);

// Whether `grid` and a target are given as they may be: one of them.
absl::Status check_target(const TargetOptions& target, const std::string& grid);

// A decoder matrix whose grid is to be chosen, or the same one of every expert of a layer: GGUF
// stacks those into one tensor, which has one type.
struct FreeMatrix {
  std::vector<size_t> tensors;     // indices into TargetPlan::tensors, of equal shapes
  std::vector<std::string> grids;  // canonical names, ascending bytes
  std::vector<int64_t> bytes;      // of all of them on each
  int64_t weights = 0;             // of all of them
};

struct TargetPlan {
  std::vector<PlannedTensor> tensors;  // as plan_grids has them; free ones without a grid yet
  std::vector<FreeMatrix> free;        // in the order of `tensors`
};

// Decoder matrices that no override matches are free. Without `candidates` they are, by the length
// of a matrix's rows, the K types; else other types of the GGUF family; else int2 to int8 in groups
// of 16 or by row. Errors: as plan_grids; candidates that are given twice, fewer than two, mixes or
// "keep"; no free matrix.
absl::StatusOr<TargetPlan> plan_target(const architecture::ModelConfig& config,
                                       const GridChoice& choice, const TargetOptions& target);

// Bytes that the free matrices may take together, `kept_bytes` being those of tensors that stay as
// they are. Errors: a target below the smallest or above the largest that can be reached.
absl::StatusOr<int64_t> target_budget(const TargetPlan& plan, const TargetOptions& target,
                                      int64_t kept_bytes);

// The plan with candidate choice[i] for each free matrix.
std::vector<PlannedTensor> planned_tensors(const TargetPlan& plan,
                                           const std::vector<size_t>& choice);

// A choice in which every candidate occurs as far as there are matrices for it: what later passes
// are checked against before the real one is known.
std::vector<size_t> representative_choice(const TargetPlan& plan);

}  // namespace frugal::passes
