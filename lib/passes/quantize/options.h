// What can be said about a quantization.
#pragma once

#include <cstdint>
#include <string>

#include "layerwise/calibration.h"
#include "layerwise/pre_correct.h"
#include "pass/options.h"
#include "passes/quantize/plan.h"
#include "passes/quantize/target.h"

namespace frugal::passes {

struct QuantizeOptions {
  std::string recipe = "fast";
  std::string grid;
  TargetOptions target;  // in place of grid
  pass::Assignments overrides;
  std::string method = "gptq";
  pass::DataReference calibration;
  layerwise::CalibrationOptions windows;
  bool importance = true;
  std::string strength = "held_out";
  int64_t held_out = 8;
  double alpha = 0.5;
  double beta = 0.5;
  double damping = 0.01;
  std::string order = "group_aware";
  std::string scales = "dynamic";
  int64_t sweeps = 3;
  int64_t refits = 2;
  double max_layer_error = 1.0;
  int64_t min_tokens = 0;
  std::string embeddings{kAuto};
  std::string head{kAuto};

  bool gptq() const { return method == "gptq"; }
  bool calibrated() const { return !calibration.name.empty(); }
  GridChoice choice() const { return {grid, embeddings, head, overrides.entries}; }
  bool chooses_strength() const { return gptq() && strength == "held_out"; }
  layerwise::Asymmetry asymmetry() const { return {gptq() ? alpha : 0, gptq() ? beta : 0}; }
  bool drifts() const {
    return calibrated() && gptq() && (chooses_strength() || asymmetry().active());
  }
  int64_t held_out_windows() const {
    return chooses_strength() || (target.active() && target.swaps > 0) ? held_out : 0;
  }
};

// A recipe sets the defaults of the options behind it; what is given besides counts.
void visit_quantize_options(pass::OptionVisitor& visitor, QuantizeOptions& options);

}  // namespace frugal::passes
