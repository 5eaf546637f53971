// The options of the prune pass, and what they ask for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "architecture/model_config.h"
#include "base/status.h"
#include "layerwise/pruning/depth.h"
#include "layerwise/pruning/pattern.h"
#include "layerwise/pruning/width.h"
#include "layerwise/walk/calibration.h"
#include "pass/pass.h"
#include "passes/common/layer_gate.h"

namespace frugal::passes {

// What one step removes: one of these, as each needs the others' result (or its absence) as its
// input.
enum class PruneKind { kMask, kWidth, kChannels, kExperts, kDepth };

struct PruneOptions {
  std::string pattern = "none";
  std::string solver = "mask_refit";
  std::string mask_score = "obs";
  bool refit = false;
  std::string scope = "row";
  pass::Assignments overrides;
  int64_t mask_block = layerwise::kPatternBlock;
  int64_t refit_steps = 60;

  double ffn = 0;  // 0: left alone
  double heads = 0;
  std::string heads_by = "auto";
  double channels = 0;
  double experts = 0;
  std::string experts_by = "reap";
  int64_t multiple_of = 32;
  std::string score = "auto";
  bool compensate = true;

  int64_t drop_layers = 0;
  std::vector<int64_t> drop_layer_indices;
  int64_t protect_first = 1;
  int64_t protect_last = 1;

  double alpha = 1.0;
  double beta = 1.0;
  double damping = 0;  // 0: by the number of tokens for masks
  double cut_damping() const { return damping > 0 ? damping : 0.01; }  // of whole neurons and more
  LayerGate gate;
  pass::DataReference calibration;
  layerwise::CalibrationOptions windows;

  // Errors: nothing asked for, or more than one kind, with the reason.
  absl::StatusOr<PruneKind> kind() const;
  layerwise::StructureScore structure_score(PruneKind kind) const;
  layerwise::PatternScope pattern_scope() const;
  bool refits() const { return solver == "mask_refit" || refit; }
  // Whether whole key/value heads go with their query heads, rather than query heads of each.
  bool whole_key_value_heads(const architecture::ModelConfig& config) const;
};

void visit_prune_options(pass::OptionVisitor& visitor, PruneOptions& options);

}  // namespace frugal::passes
