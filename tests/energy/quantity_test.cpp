#include "energy/quantity.h"

#include <cmath>

#include "base/random.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

template <typename A, typename B>
concept Adds = requires(A a, B b) { a + b; };
template <typename A, typename B>
concept ReadsIn = requires(A a, B b) { a.in(b); };

// What must not compile.
static_assert(Adds<Energy, Energy> && !Adds<Energy, Carbon> && !Adds<Energy, Power>);
static_assert(!Adds<Carbon, double> && !Adds<double, Carbon>);
static_assert(ReadsIn<Carbon, Carbon> && !ReadsIn<Carbon, Energy> && !ReadsIn<Carbon, double>);
static_assert(!std::is_convertible_v<double, Energy> && !std::is_convertible_v<Energy, double>);
static_assert(std::is_same_v<decltype(Energy() * CarbonIntensity()), Carbon>);
static_assert(std::is_same_v<decltype(Power() * Time()), Energy>);
static_assert(std::is_same_v<decltype(Energy() * EnergyPrice()), Money>);

TEST(Quantity, UnitsOfOneKindAgree) {
  EXPECT_EQ(kilowatt_hours(1).in(joules(1)), 3.6e6);
  EXPECT_EQ(tonnes(1).in(kilograms(1)), 1000);
  EXPECT_EQ(years(4).in(hours(1)), 35040);
  EXPECT_EQ((watts(1000) * hours(1)).in(kilowatt_hours(1)), 1);
  EXPECT_EQ((kilowatt_hours(2) * grams_per_kilowatt_hour(400)).in(kilograms(1)), 0.8);
}

// The examples of the SCI for AI specification, whose units slipped: 130 kg over a billion tokens
// are called 0.13 g per million, 75 t over 2.5 billion parameters 3000, then 30 kg per billion.
TEST(Quantity, TheExamplesOfSciForAiWithTheirUnitsRight) {
  EXPECT_DOUBLE_EQ((kilograms(130) / tokens(1e9)).in(grams(1) / million_tokens(1)), 130);
  EXPECT_DOUBLE_EQ((tonnes(75) / units(2.5e9)).in(kilograms(1) / units(1e9)), 30000);
}

// Whatever units a number goes in and comes out by, it is the same quantity.
TEST(Quantity, ComesOutAsItWentIn) {
  base::RandomStream random(1, "quantity");
  for (int i = 0; i < 1000; ++i) {
    const double a = std::exp(20 * random.uniform() - 10), b = std::exp(20 * random.uniform() - 10);
    EXPECT_NEAR(kilowatt_hours(a).in(joules(1)) / (a * 3.6e6), 1, 1e-14);
    EXPECT_NEAR(joules(a).in(kilowatt_hours(1)) * 3.6e6 / a, 1, 1e-14);
    const auto both = kilograms(a) + grams(b);
    EXPECT_NEAR(both.in(grams(1)) / (1000 * a + b), 1, 1e-14);
    EXPECT_NEAR((both - grams(b)).in(kilograms(1)) / a, 1, 1e-9 * (1 + b / a));
    EXPECT_NEAR((kilowatt_hours(a) * grams_per_kilowatt_hour(b)).in(grams(1)) / (a * b), 1, 1e-14);
    EXPECT_NEAR((kilograms(a) / tokens(b)).in(grams(1) / million_tokens(1)) / (a / b * 1e9), 1,
                1e-14);
    EXPECT_NEAR(((watts(a) * seconds(b)) / seconds(b)).in(watts(1)) / a, 1, 1e-14);
    EXPECT_EQ(joules(a) < joules(b), a < b);
  }
}

}  // namespace
}  // namespace frugal::energy
