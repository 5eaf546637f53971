#include "energy/plausible.h"

#include <gtest/gtest.h>

namespace frugal::energy {
namespace {

TEST(LikelyUnit, IsTheFirstThatMakesSense) {
  EXPECT_EQ(likely_unit(0.38, 1, 2000, {{"kilograms per kWh", 1000}, {"tonnes per kWh", 1e6}}),
            "kilograms per kWh? Then it is 380");
  EXPECT_EQ(likely_unit(0.00038, 1, 2000, {{"kilograms per kWh", 1000}, {"tonnes per kWh", 1e6}}),
            "tonnes per kWh? Then it is 380");
}

TEST(LikelyUnit, IsNoneWhereNoneMakesSense) {
  EXPECT_EQ(likely_unit(1e9, 1, 2000, {{"kilograms per kWh", 1000}}), "");
  EXPECT_EQ(likely_unit(5, 1, 2000, {}), "");
}

TEST(LikelyUnit, TakesTheBoundsIn) {
  EXPECT_EQ(likely_unit(2, 1, 2000, {{"kilograms", 1000}}), "kilograms? Then it is 2000");
  EXPECT_EQ(likely_unit(2.001, 1, 2000, {{"kilograms", 1000}}), "");
}

TEST(PricePerKwh, IsNarrowForUnitsOfTheWorthOfALoaf) {
  EXPECT_EQ(price_per_kwh("EUR").high, 2);
  EXPECT_EQ(price_per_kwh("€").high, 2);
  EXPECT_EQ(price_per_kwh("JPY").high, 1e5);
  EXPECT_EQ(price_per_kwh("EUR").low, price_per_kwh("JPY").low);
}

}  // namespace
}  // namespace frugal::energy
