#include "energy/derive.h"

#include <cmath>
#include <limits>

#include "base/random.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

Site example_site() {
  Site site;
  site.name = "Example";
  site.intensity = {400, "average", 2024, "grid report"};
  site.pue = {1.25, 2023, "operator"};
  return site;
}

TEST(Derive, ConvertsExactly) {
  EXPECT_EQ(joules_per_token(720, 1000), 0.72);
  EXPECT_DOUBLE_EQ(*kilowatt_hours_per_million_tokens(0.72), 0.2);  // 0.72 J · 1e6 / 3.6e6
  EXPECT_EQ(requests_per_kilowatt_hour(360), 10000);
  EXPECT_EQ(break_even(1000, 3, 1), 500);
}

TEST(Derive, UnknownStaysUnknown) {
  EXPECT_EQ(joules_per_token(std::nullopt, 10), std::nullopt);
  EXPECT_EQ(joules_per_token(5, 0), std::nullopt);
  EXPECT_EQ(kilowatt_hours_per_million_tokens(std::nullopt), std::nullopt);
  EXPECT_EQ(joules_per_token(std::numeric_limits<double>::infinity(), 1), std::nullopt);
  EXPECT_EQ(requests_per_kilowatt_hour(0), std::nullopt);
  EXPECT_EQ(requests_per_kilowatt_hour(-1), std::nullopt);
  EXPECT_EQ(break_even(1000, 1, 1), std::nullopt);  // nothing is saved: never
  EXPECT_EQ(break_even(1000, 1, 2), std::nullopt);
  EXPECT_EQ(break_even(std::nullopt, 3, 1), std::nullopt);
  EXPECT_EQ(carbon(std::nullopt, example_site()).location_grams, std::nullopt);
  EXPECT_EQ(energy_cost(3.6e6, example_site()), std::nullopt);
}

TEST(Derive, CarbonBothWays) {
  Site site = example_site();
  EXPECT_EQ(carbon(7.2e6, site).location_grams, 1000);  // 2 kWh · 1.25 · 400 g
  EXPECT_EQ(carbon(7.2e6, site).market_grams, std::nullopt);
  site.market_intensity = Intensity{0, "average", 2024, "contract"};
  EXPECT_EQ(carbon(7.2e6, site).market_grams, 0);  // a contract of zero is known, and is zero
  EXPECT_EQ(carbon(7.2e6, site).location_grams, 1000);
}

TEST(Derive, CostIncludesTheOverhead) {
  Site site = example_site();
  site.price = Price{0.4, "EUR", 2024, "invoice"};
  EXPECT_EQ(energy_cost(7.2e6, site), 1.0);  // 2 kWh · 1.25 · 0.40
}

TEST(Derive, EmbodiedIsARangeOverTheLifetime) {
  HardwareProfile profile;
  profile.embodied_kg_co2e = Range{164, 575};
  profile.lifetime_years = 3;
  const double half_life = 1.5 * 8760 * 3600;
  const auto grams = embodied_grams(profile, half_life, 0.5);
  ASSERT_TRUE(grams.has_value());
  EXPECT_DOUBLE_EQ(grams->low, 41000);  // 164 kg · 1/2 · 1/2
  EXPECT_DOUBLE_EQ(grams->high, 143750);
  profile.lifetime_years = std::nullopt;
  EXPECT_FALSE(embodied_grams(profile, 1).has_value());
}

Usage usage(double joules, double seconds, double units) {
  return {{joules, "J", Provenance::kMeasured, "GPU 0 board"}, seconds, units, "request"};
}

HardwareProfile example_hardware() {
  HardwareProfile hardware;
  hardware.name = "H";
  hardware.source = "maker";
  hardware.year = 2022;
  hardware.embodied_kg_co2e = Range{8.76, 17.52};
  hardware.lifetime_years = 1;
  return hardware;
}

TEST(Derive, SciIsARangeWithItsBoundary) {
  Site site = example_site();
  const Figure operational = footprint(usage(7.2e6, 3600, 1000), site).sci_grams_per_unit;
  EXPECT_DOUBLE_EQ(*operational.value, 1);  // 1000 g / 1000 requests
  EXPECT_EQ(operational.unit, "gCO2e/request");
  EXPECT_THAT(operational.basis, testing::HasSubstr("embodied carbon not included"));
  site.hardware = example_hardware();
  const Figure full = footprint(usage(7.2e6, 3600, 1000), site).sci_grams_per_unit;
  EXPECT_FALSE(full.value.has_value());
  EXPECT_DOUBLE_EQ(full.range->low, 1.001);  // an hour of 8760 takes 1 g of 8.76 kg
  EXPECT_DOUBLE_EQ(full.range->high, 1.002);
  EXPECT_THAT(full.basis,
              testing::AllOf(testing::HasSubstr("with embodied carbon of H (maker, 2022)"),
                             testing::HasSubstr("grid report, 2024"),
                             testing::HasSubstr("operator, 2023")));
  const Figure none = footprint(usage(7.2e6, 3600, 0), site).sci_grams_per_unit;
  EXPECT_FALSE(none.value.has_value() || none.range.has_value());
  Usage unknown = usage(0, 3600, 10);
  unknown.energy = {std::nullopt, "J", Provenance::kMeasured, "bus error"};
  const Figure lost = footprint(unknown, site).sci_grams_per_unit;
  EXPECT_FALSE(lost.value.has_value() || lost.range.has_value());
  EXPECT_EQ(lost.basis, "bus error");
}

// The SCI for AI specification's first example, with its units right: 130 kg over 1e9 tokens is 130
// g per million.
TEST(Derive, SciPerMillionTokens) {
  Site site = example_site();
  site.pue.value = 1;
  const double joules = 130e3 / 400 * 3.6e6;  // what emits 130 kg at 400 g/kWh
  const Figure result = footprint(usage(joules, 1, 1e9 / 1e6), site).sci_grams_per_unit;
  EXPECT_DOUBLE_EQ(*result.value, 130);
}

// The range of a modelled CPU, and marks, go through every figure.
TEST(Derive, RangesAndMarksOfTheEnergyStay) {
  Site site = example_site();
  site.price = Price{0.4, "EUR", 2024, "invoice"};
  site.market_intensity = Intensity{100, "average", 2024, "contract"};
  site.water = WaterUse{0.5, 2024, "meter"};
  site.hardware = example_hardware();
  Usage modelled = usage(7.2e6, 3600, 1000);
  modelled.energy.range = Range{3.6e6, 14.4e6};
  modelled.energy.marks = {"short window"};
  const Footprint all = footprint(modelled, site);
  const auto check = [](const Figure& figure, double low, double high) {
    ASSERT_TRUE(figure.range.has_value());
    EXPECT_DOUBLE_EQ(figure.range->low, low);
    EXPECT_DOUBLE_EQ(figure.range->high, high);
    EXPECT_THAT(figure.marks, testing::ElementsAre("short window"));
  };
  check(all.kilowatt_hours, 1, 4);
  check(all.location_grams, 500, 2000);
  check(all.market_grams, 125, 500);
  check(all.water_liters, 0.5, 2);  // WUE is by the energy of the computers: no PUE
  check(all.cost, 0.5, 2);
  check(all.sci_grams_per_unit, 0.501, 2.002);
  EXPECT_EQ(all.cost.unit, "EUR");
}

TEST(Derive, AFootprintSaysWhereEachNumberIsFrom) {
  const base::Json json = to_json(footprint(usage(7.2e6, 3600, 10), example_site()));
  EXPECT_DOUBLE_EQ(json["kwh"]["value"].get<double>(), 2);
  EXPECT_EQ(json["kwh"]["provenance"], "measured");
  EXPECT_DOUBLE_EQ(json["location_grams"]["value"].get<double>(), 1000);
  EXPECT_EQ(json["location_grams"]["provenance"], "assumed");
  for (const char* key : {"market_grams", "cost", "embodied_grams", "water_liters"}) {
    EXPECT_TRUE(json[key]["value"].is_null()) << key;  // unknown is not 0
    EXPECT_TRUE(json[key]["range"].is_null()) << key;
    EXPECT_FALSE(json[key]["basis"].get<std::string>().empty()) << key;
  }
}

TEST(Derive, BreakEvenInUnitsAndDays) {
  const auto figure = [](double value, std::string unit = "J") {
    return Figure{value, std::move(unit), Provenance::kMeasured, "meter"};
  };
  Figure before = figure(3);
  before.marks = {"short window"};
  const BreakEven pays = break_even(figure(1e6), before, figure(1), 1e5);
  EXPECT_EQ(pays.units, 5e5);
  EXPECT_EQ(pays.days, 5);
  EXPECT_THAT(pays.marks, testing::ElementsAre("short window"));
  EXPECT_EQ(break_even(figure(1e6), before, figure(1), std::nullopt).days, std::nullopt);
  EXPECT_EQ(break_even(figure(1e6), figure(1), figure(1), 1e5).reason, "nothing is saved: never");
  const BreakEven mixed = break_even(figure(1e6, "gCO2e"), figure(3), figure(1), 1e5);
  EXPECT_EQ(mixed.units, std::nullopt);
  EXPECT_THAT(mixed.reason, testing::HasSubstr("cannot be set off"));
  const Figure lost{std::nullopt, "J", Provenance::kMeasured, "bus error"};
  EXPECT_EQ(break_even(figure(1e6), lost, figure(1), 1e5).reason, "bus error");
}

// Whatever the energy and the site: market and location differ by their intensities alone, more
// energy is never less carbon, and the sum of two footprints is that of the sum.
TEST(Derive, CarbonIsLinear) {
  base::RandomStream random(1, "derive");
  for (int i = 0; i < 500; ++i) {
    Site site = example_site();
    site.intensity.grams_per_kwh = 1 + 1000 * random.uniform();
    site.pue.value = 1 + random.uniform();
    const double a = 1e7 * random.uniform(), b = 1e7 * random.uniform();
    const auto grams = [&](double joules) { return *carbon(joules, site).location_grams; };
    EXPECT_NEAR(grams(a) + grams(b), grams(a + b), 1e-9 * grams(a + b));
    EXPECT_EQ(grams(a) < grams(b), a < b);
    EXPECT_NEAR(grams(a), *footprint(usage(a, 1, 1), site).location_grams.value, 1e-9 * grams(a));
  }
}

}  // namespace
}  // namespace frugal::energy
