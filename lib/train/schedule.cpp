#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace frugal::train {

double learning_rate_at(const ScheduleOptions& options, int64_t step) {
  if (step < options.warmup_steps) {
    return options.peak_rate * static_cast<double>(step + 1) /
           static_cast<double>(options.warmup_steps + 1);
  }
  if (options.schedule == Schedule::kConstant) return options.peak_rate;
  const int64_t span = std::max<int64_t>(options.steps - 1 - options.warmup_steps, 1);
  const double done =
      std::min(1.0, static_cast<double>(step - options.warmup_steps) / static_cast<double>(span));
  const double left = options.schedule == Schedule::kLinear
                          ? 1.0 - done
                          : 0.5 * (1.0 + std::cos(std::numbers::pi * done));
  return options.peak_rate * (options.final_rate_share + (1.0 - options.final_rate_share) * left);
}

}  // namespace frugal::train
