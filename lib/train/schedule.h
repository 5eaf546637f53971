// Learning rate over the steps of a run.
#pragma once

#include <cstdint>

namespace frugal::train {

enum class Schedule { kConstant, kLinear, kCosine };

struct ScheduleOptions {
  Schedule schedule = Schedule::kCosine;
  double peak_rate = 1e-3;
  double final_rate_share = 0.1;  // rate of the last step over the peak; kConstant ignores it
  int64_t warmup_steps = 0;
  int64_t steps = 1;  // of the whole run
};

// Rate of step `step` (0-based): rises linearly to the peak, which step warmup_steps (the first one
// without a warmup) has, and falls to final_rate_share * peak at the last step.
double learning_rate_at(const ScheduleOptions& options, int64_t step);

}  // namespace frugal::train
