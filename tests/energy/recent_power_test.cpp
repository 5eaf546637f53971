#include "energy/recent_power.h"

#include <gtest/gtest.h>

#include "fakes.h"

namespace frugal::energy {
namespace {

MeterInfo wrapping_info() {
  MeterInfo info = fake_info("m");  // millijoules
  info.wrap_units = 100000;
  return info;
}

TEST(RecentPowerTest, IsTheMeanOfTheLatestSecond) {
  RecentPower power;
  const MeterInfo info = wrapping_info();
  EXPECT_EQ(power.watts(), std::nullopt);
  power.note(info, {0, 10.0}, 0);
  EXPECT_EQ(power.watts(), std::nullopt);
  power.note(info, {9000, 10.2}, 0);  // too soon to tell a power
  EXPECT_EQ(power.watts(), std::nullopt);
  power.note(info, {30000, 11.0}, 0);
  EXPECT_DOUBLE_EQ(*power.watts(), 30.0);
  power.note(info, {90000, 12.5}, 0);
  EXPECT_DOUBLE_EQ(*power.watts(), 40.0);
  power.note(info, {10000, 13.5}, 1);  // through the counter's end
  EXPECT_DOUBLE_EQ(*power.watts(), 20.0);
}

TEST(RecentPowerTest, WhatTellsNothingOfTheMomentIsUnknown) {
  RecentPower power;
  const MeterInfo info = fake_info("m");
  power.note(info, {0, 0.0}, 0);
  power.note(info, {1000, 1.0}, 0);
  EXPECT_TRUE(power.watts().has_value());
  power.note(info, {90000, 60.0}, 0);  // a minute without readings
  EXPECT_EQ(power.watts(), std::nullopt);
  power.note(info, {91000, 61.0}, 0);
  EXPECT_DOUBLE_EQ(*power.watts(), 1.0);
  power.lose();
  EXPECT_EQ(power.watts(), std::nullopt);
  power.note(info, {92000, 62.0}, 0);
  power.note(info, {0, 63.0}, 0);  // reset
  EXPECT_EQ(power.watts(), std::nullopt);
}

}  // namespace
}  // namespace frugal::energy
