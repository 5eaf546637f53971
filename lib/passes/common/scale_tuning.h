// What passes that tune scales share: their forecast and their report.
#pragma once

#include <cstdint>

#include "architecture/model_config.h"
#include "pass/pass.h"
#include "train/scale_tuning.h"

namespace frugal::passes {

// What is known of train::tune_scales beforehand, on the CPU.
struct TuningDemand {
  int64_t weights = 0;       // on grids
  int64_t largest = 0;       // of them in one matrix
  int64_t code_bytes = 0;    // of their codes and parameters in memory
  bool own_student = false;  // a model of its own, not a copy that shares what is not on a grid
  int64_t window_tokens = 1;
  int64_t windows = 0;             // of the tuning text
  int64_t validation_windows = 0;  // held out
  train::ScaleTuningOptions loop;  // without steps the divergence is measured only
  int64_t threads = 1;
};

// Bytes at the peak, beside the process and the caller's matrices: both models, copies of the
// codes, the original's hidden states, and what every thread has of a window.
int64_t tuning_memory(const architecture::ModelConfig& config, const TuningDemand& demand);

// Floating-point operations.
double tuning_operations(const architecture::ModelConfig& config, const TuningDemand& demand);

// Statistics kl_before, kl_after, ... and the tables `tuning` and `validation`.
void report_tuning(pass::RunContext& context, const train::ScaleTuningResult& result);

}  // namespace frugal::passes
