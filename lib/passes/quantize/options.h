// What can be said about a quantization.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "format/activations.h"
#include "grid/grid.h"
#include "layerwise/rounding/pre_correct.h"
#include "layerwise/walk/calibration.h"
#include "pass/options.h"
#include "passes/common/layer_gate.h"
#include "passes/quantize/plan.h"
#include "passes/quantize/target.h"

namespace frugal::passes {

// What a quantization does, with all that recipes and methods imply filled in.
struct QuantizeSettings {
  std::string grid;
  TargetOptions target;  // in place of grid
  pass::Assignments overrides;
  std::string method = "gptq";
  pass::DataReference calibration;
  layerwise::CalibrationOptions windows;
  bool importance = true;
  std::string drift_correction = "pre_correct";
  std::string drift_strength = "held_out";
  int64_t held_out_windows = 8;
  double alpha = 0.5;
  double beta = 0.5;
  double damping = 0;  // 0: by the number of tokens
  std::string hessian = "one_sided";
  int64_t gradient_windows = 64;
  std::string order = "group_aware";
  std::string scales = "dynamic";
  std::string scale_search = "full";
  int64_t descent_passes = 8;
  int64_t scale_refits = 4;
  std::string pattern = "none";
  bool keep_zeros = false;
  int64_t rounding_iterations = 0;
  int64_t tune_steps = 0;
  int64_t tune_windows = 512;
  double tune_learning_rate = 1.5e-3;
  LayerGate gate;
  double max_kl = 0;
  std::string activations = "none";
  std::string embeddings{kAuto};
  std::string head{kAuto};
  bool strict = false;

  bool gptq() const { return method == "gptq"; }
  bool calibrated() const { return !calibration.name.empty(); }
  // Whether nothing can be done without text.
  bool needs_text() const {
    return gptq() || target.active() || tune_steps > 0 || rounding_iterations > 0 || max_kl > 0;
  }
  format::Activations rounding() const {
    return activations == "int8" ? format::Activations::kInt8 : format::Activations::kFloat;
  }
  grid::ScaleSearch search() const {
    return scale_search == "fast" ? grid::ScaleSearch::kFast : grid::ScaleSearch::kFull;
  }
  GridChoice choice() const { return {grid, embeddings, head, overrides.entries, strict}; }
  bool pre_corrects() const { return gptq() && drift_correction == "pre_correct"; }
  bool gptaq() const { return gptq() && drift_correction == "gptaq"; }
  bool chooses_drift_strength() const { return pre_corrects() && drift_strength == "held_out"; }
  layerwise::DriftStrength fixed_drift_strength() const {
    return {pre_corrects() || gptaq() ? alpha : 0, pre_corrects() ? beta : 0};
  }
  bool drifts() const {
    return calibrated() && gptq() && (chooses_drift_strength() || fixed_drift_strength().active());
  }
  bool two_sided() const { return calibrated() && gptq() && hessian == "two_sided"; }
  bool tunes() const { return calibrated() && tune_steps > 0; }
  // Whether max_kl is looked at, on a model of decoded weights or on one that rounds its inputs.
  bool measures_floats() const {
    return calibrated() && max_kl > 0 && rounding() == format::Activations::kFloat;
  }
  bool measures_integers() const {
    return calibrated() && max_kl > 0 && rounding() != format::Activations::kFloat;
  }
  bool learns_rounding() const { return calibrated() && rounding_iterations > 0; }
  int64_t held_out_needed() const {
    const bool swaps = target.active() && target.swaps > 0;
    const bool chooses = chooses_drift_strength() || learns_rounding() || tunes() || swaps;
    return chooses || max_kl > 0 ? held_out_windows : 0;
  }
  int64_t fresh_windows() const { return tunes() ? tune_windows : 0; }
};

// As a user gives them.
struct QuantizeOptions {
  std::string recipe = "fast";
  // What is not given follows from the recipe or from another option (resolve).
  std::optional<std::string> method, hessian, drift_strength, scales, scale_search;
  std::optional<int64_t> windows, held_out_windows, gradient_windows, rounding_iterations,
      tune_steps;
  std::optional<double> alpha, tune_learning_rate;
  QuantizeSettings given;  // all others
};

QuantizeSettings resolve(const QuantizeOptions& options);

void visit_quantize_options(pass::OptionVisitor& visitor, QuantizeOptions& options);

}  // namespace frugal::passes
