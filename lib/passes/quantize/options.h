// What can be said about a quantization.
#pragma once

#include <cstdint>
#include <string>

#include "format/activations.h"
#include "layerwise/calibration.h"
#include "layerwise/pre_correct.h"
#include "pass/options.h"
#include "passes/quantize/plan.h"

namespace frugal::passes {

struct QuantizeOptions {
  std::string grid = "q4_k";
  std::string method = "gptq";
  pass::DataReference calibration;
  layerwise::CalibrationOptions windows;
  bool importance = true;
  double alpha = 0.5;
  double beta = 0.5;
  double damping = 0.01;
  std::string order = "group_aware";
  std::string scales = "dynamic";
  int64_t sweeps = 3;
  int64_t refits = 2;
  std::string activations = "none";
  std::string embeddings{kKeep};
  std::string head{kKeep};

  bool gptq() const { return method == "gptq"; }
  bool calibrated() const { return !calibration.name.empty(); }
  format::Activations rounding() const {
    return activations == "int8" ? format::Activations::kInt8 : format::Activations::kFloat;
  }
  GridChoice choice() const { return {grid, embeddings, head}; }
  layerwise::Asymmetry asymmetry() const { return {gptq() ? alpha : 0, gptq() ? beta : 0}; }
};

void visit_quantize_options(pass::OptionVisitor& visitor, QuantizeOptions& options);

}  // namespace frugal::passes
