#include "energy/tco.h"

#include <cmath>

#include "base/random.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

Estimate known(double value) { return {value, {value, value}, "invoice, 2024"}; }
Estimate between(double low, double expected, double high) {
  return {expected, {low, high}, "guess, 2024"};
}

// A server for 8760 that lasts a year, without interest, always at work.
TcoInputs by_hand() {
  TcoInputs inputs;
  inputs.currency = "EUR";
  inputs.hardware_price = known(8760);
  inputs.lifetime_years = known(1);
  inputs.interest_rate = known(0);
  inputs.utilization = known(1);
  inputs.load_watts = known(1000);
  inputs.idle_watts = known(100);
  inputs.tokens_per_second = known(1e6 / 3600);  // a million an hour
  inputs.pue = known(1.5);
  inputs.price_per_kwh = known(0.2);
  return inputs;
}

TEST(Tco, ByHand) {
  const Tco tco = total_cost(by_hand());
  ASSERT_TRUE(tco.expected.has_value()) << tco.unknown;
  EXPECT_NEAR(tco.expected->capital, 1, 1e-12);   // 8760 hours, a million tokens each
  EXPECT_NEAR(tco.expected->energy, 0.3, 1e-12);  // 1 kWh · 1.5 · 0.20
  EXPECT_EQ(tco.expected->fixed, 0);
  EXPECT_NEAR(tco.expected->total(), 1.3, 1e-12);
  EXPECT_EQ(tco.favorable->total(), tco.unfavorable->total());  // nothing is in doubt
  EXPECT_TRUE(tco.sensitivity.empty());
  EXPECT_THAT(tco.left_out, testing::ElementsAre("fixed_per_year", "one_off_cost"));
}

TEST(Tco, IdleHoursCostToo) {
  TcoInputs inputs = by_hand();
  inputs.utilization = known(0.25);
  inputs.fixed_per_year = known(4380);
  inputs.one_off_cost = known(219);
  const TcoParts parts = *total_cost(inputs).expected;
  EXPECT_NEAR(parts.capital, 4, 1e-12);  // of a quarter of the tokens
  EXPECT_NEAR(parts.energy, (1000 + 3 * 100) / 1000.0 * 1.5 * 0.2,
              1e-12);  // one hour of four works
  EXPECT_NEAR(parts.fixed, 2, 1e-12);
  EXPECT_NEAR(parts.one_off, 0.1, 1e-12);
}

TEST(Tco, RecoversTheCapital) {
  EXPECT_NEAR(capital_recovery_factor(0.08, 5), 0.25045645, 1e-8);  // of annuity tables
  EXPECT_EQ(capital_recovery_factor(0, 4), 0.25);
  EXPECT_NEAR(capital_recovery_factor(1e-12, 4), 0.25, 1e-11);
  // Payments of it, discounted, are the price.
  double value = 0;
  for (int year = 1; year <= 7; ++year)
    value += capital_recovery_factor(0.1, 7) / std::pow(1.1, year);
  EXPECT_NEAR(value, 1, 1e-12);
}

TEST(Tco, ThreeScenariosAndWhatTheyHangOn) {
  TcoInputs inputs = by_hand();
  inputs.price_per_kwh = between(0.1, 0.2, 0.4);
  inputs.tokens_per_second = between(1e6 / 7200, 1e6 / 3600, 1e6 / 1800);
  inputs.lifetime_years = between(1, 1, 4);
  const Tco tco = total_cost(inputs);
  EXPECT_NEAR(tco.expected->total(), 1.3, 1e-12);
  EXPECT_NEAR(tco.favorable->total(), (0.25 + 0.15) / 2, 1e-12);
  EXPECT_NEAR(tco.unfavorable->total(), (1 + 0.6) * 2, 1e-12);
  ASSERT_EQ(tco.sensitivity.size(), 3u);
  EXPECT_EQ(tco.sensitivity[0].input, "tokens_per_second");
  EXPECT_NEAR(tco.sensitivity[0].low, 0.65, 1e-12);
  EXPECT_NEAR(tco.sensitivity[0].high, 2.6, 1e-12);
  EXPECT_EQ(tco.sensitivity[1].input, "lifetime_years");
}

TEST(Tco, UnknownIsNotZero) {
  TcoInputs inputs = by_hand();
  inputs.price_per_kwh = std::nullopt;
  inputs.idle_watts = std::nullopt;
  const Tco tco = total_cost(inputs);
  EXPECT_FALSE(tco.expected.has_value());
  EXPECT_EQ(tco.unknown, "not known: idle_watts, price_per_kwh");
  const base::Json json = to_json(tco, "EUR");
  EXPECT_TRUE(json["expected"].is_null());
  EXPECT_EQ(json["unit"], "EUR per million tokens");
}

TEST(Tco, ImpossibleInputsAreNamed) {
  TcoInputs inputs = by_hand();
  inputs.utilization = known(1.2);
  EXPECT_THAT(total_cost(inputs).unknown, testing::HasSubstr("utilization is 1.2"));
  inputs = by_hand();
  inputs.pue = known(0.5);
  EXPECT_THAT(total_cost(inputs).unknown, testing::HasSubstr("pue is 0.5"));
  inputs = by_hand();
  inputs.load_watts = between(200, 100, 300);  // outside of its own bounds
  EXPECT_THAT(total_cost(inputs).unknown, testing::HasSubstr("load_watts"));
  EXPECT_FALSE(total_cost(inputs).expected.has_value());
}

// Whatever the inputs: any choice within the bounds lies between the scenarios.
TEST(Tco, TheScenariosEncloseEveryChoice) {
  base::RandomStream random(1, "tco");
  const auto any = [&](double low, double high) {
    const double a = low + (high - low) * random.uniform(),
                 b = low + (high - low) * random.uniform();
    return between(std::min(a, b), (a + b) / 2, std::max(a, b));
  };
  const auto choose = [&](const Estimate& of) {
    return known(of.range.low + (of.range.high - of.range.low) * random.uniform());
  };
  for (int i = 0; i < 200; ++i) {
    TcoInputs wide;
    wide.hardware_price = any(100, 1e5);
    wide.lifetime_years = any(1, 8);
    wide.interest_rate = any(0, 0.2);
    wide.utilization = any(0.05, 1);
    wide.load_watts = any(100, 1000);
    wide.idle_watts = any(10, 100);
    wide.tokens_per_second = any(10, 1e4);
    wide.pue = any(1, 2);
    wide.price_per_kwh = any(0.05, 0.5);
    wide.one_off_cost = any(0, 1000);
    const Tco tco = total_cost(wide);
    TcoInputs one = wide;
    for (auto* value : {&one.hardware_price, &one.lifetime_years, &one.interest_rate,
                        &one.utilization, &one.load_watts, &one.idle_watts, &one.tokens_per_second,
                        &one.pue, &one.price_per_kwh, &one.one_off_cost})
      *value = choose(**value);
    const double total = total_cost(one).expected->total();
    EXPECT_GE(total, tco.favorable->total() * (1 - 1e-12));
    EXPECT_LE(total, tco.unfavorable->total() * (1 + 1e-12));
  }
}

}  // namespace
}  // namespace frugal::energy
