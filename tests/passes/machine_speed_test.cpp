#include "passes/common/machine_speed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace frugal::passes {
namespace {

constexpr std::array kAll{Arithmetic::kRounded, Arithmetic::kFloat32, Arithmetic::kFloat64,
                          Arithmetic::kBfloat16};

// Between a tenth of what one core of twenty years ago did and a thousand times a large server.
TEST(MachineSpeed, IsThatOfAMachine) {
  for (const Arithmetic arithmetic : kAll) {
    EXPECT_GT(product_speed(arithmetic, at::kCPU).value(), 1e7);
    EXPECT_LT(product_speed(arithmetic, at::kCPU).value(), 1e17);
  }
}

TEST(MachineSpeed, IsMeasuredOnce) {
  for (const Arithmetic arithmetic : kAll)
    EXPECT_EQ(product_speed(arithmetic, at::kCPU), product_speed(arithmetic, at::kCPU));
}

TEST(MachineSpeed, JobsReachAShareOfIt) {
  const double rounded = product_speed(Arithmetic::kRounded, at::kCPU).value();
  EXPECT_GT(walk_speed(model::Precision::kRounded, at::kCPU), 0.1 * rounded);
  EXPECT_LT(walk_speed(model::Precision::kRounded, at::kCPU), rounded);
  EXPECT_LT(training_speed(true, at::kCPU), product_speed(Arithmetic::kBfloat16, at::kCPU));
  EXPECT_LT(training_speed(false, at::kCPU), product_speed(Arithmetic::kFloat32, at::kCPU));
}

TEST(MachineSpeed, IsUnknownOfADeviceThatIsNotThere) {
  const at::Device none(at::kCUDA, 15);
  EXPECT_FALSE(product_speed(Arithmetic::kFloat32, none).has_value());
  EXPECT_FALSE(walk_speed(model::Precision::kRounded, none).has_value());
  EXPECT_FALSE(training_speed(true, none).has_value());
  EXPECT_FALSE(seconds_of(1e9, std::nullopt).has_value());
  EXPECT_EQ(seconds_of(1e9, 2e9), 0.5);
  EXPECT_EQ(speed_text(std::nullopt), "at an unknown speed");
}

TEST(MachineSpeed, RoundingTakesTime) {
  const auto fast = grid::ScaleSearch::kFast;
  const double one = rounding_seconds("q4_0", 64, fast);
  EXPECT_GT(one, 1e-13);
  EXPECT_LT(one, 1e-3);
  EXPECT_EQ(rounding_seconds("q4_0", 128, fast), one);
  EXPECT_EQ(rounding_seconds("q4_0", 65, fast), 0);
  EXPECT_EQ(rounding_seconds("no grid", 64, fast), 0);
}

TEST(MachineSpeed, IsSaidInWords) {
  EXPECT_EQ(speed_text(93.4e9), "at 93 GFLOP/s, measured just now");
}

}  // namespace
}  // namespace frugal::passes
