#include "train/schedule.h"

#include <gtest/gtest.h>

namespace frugal::train {
namespace {

ScheduleOptions options(Schedule schedule, int64_t warmup) {
  return {.schedule = schedule,
          .peak_rate = 2.0,
          .final_rate_share = 0.1,
          .warmup_steps = warmup,
          .steps = 101};
}

TEST(Schedule, WarmupRisesInEqualStepsToThePeak) {
  for (const Schedule schedule : {Schedule::kConstant, Schedule::kLinear, Schedule::kCosine}) {
    const ScheduleOptions o = options(schedule, 4);
    for (int64_t step = 0; step <= 4; ++step) {
      EXPECT_DOUBLE_EQ(learning_rate_at(o, step), 2.0 * static_cast<double>(step + 1) / 5.0);
    }
  }
}

TEST(Schedule, EndsAtItsShare) {
  EXPECT_DOUBLE_EQ(learning_rate_at(options(Schedule::kConstant, 0), 100), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate_at(options(Schedule::kLinear, 0), 100), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate_at(options(Schedule::kCosine, 10), 100), 0.2);
}

TEST(Schedule, HalfwayIsTheMean) {
  EXPECT_NEAR(learning_rate_at(options(Schedule::kLinear, 0), 50), 1.1, 1e-12);
  EXPECT_NEAR(learning_rate_at(options(Schedule::kCosine, 0), 50), 1.1, 1e-12);
  EXPECT_NEAR(learning_rate_at(options(Schedule::kCosine, 0), 25), 0.2 + 1.8 * 0.85355339059327376,
              1e-12);
}

TEST(Schedule, FallsMonotonically) {
  for (const Schedule schedule : {Schedule::kLinear, Schedule::kCosine}) {
    const ScheduleOptions o = options(schedule, 7);
    for (int64_t step = 8; step <= 100; ++step)
      EXPECT_LT(learning_rate_at(o, step), learning_rate_at(o, step - 1));
  }
}

TEST(Schedule, OneStepHasThePeak) {
  EXPECT_DOUBLE_EQ(learning_rate_at({.peak_rate = 3.0, .warmup_steps = 0, .steps = 1}, 0), 3.0);
}

}  // namespace
}  // namespace frugal::train
