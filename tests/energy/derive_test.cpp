#include "energy/derive.h"

#include <cmath>
#include <limits>

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
  EXPECT_EQ(kilowatt_hours(7.2e6), 2);
  EXPECT_EQ(requests_per_kilowatt_hour(360), 10000);
  EXPECT_EQ(break_even(1000, 3, 1), 500);
}

TEST(Derive, UnknownStaysUnknown) {
  EXPECT_EQ(joules_per_token(std::nullopt, 10), std::nullopt);
  EXPECT_EQ(joules_per_token(5, 0), std::nullopt);
  EXPECT_EQ(kilowatt_hours_per_million_tokens(std::nullopt), std::nullopt);
  EXPECT_EQ(kilowatt_hours(std::numeric_limits<double>::infinity()), std::nullopt);
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

TEST(Derive, SciIsARangeWithItsBoundary) {
  Site site = example_site();
  const Sci operational = sci(7.2e6, site, 3600, 1000);
  EXPECT_EQ(operational.grams_per_unit->low, 1);  // 1000 g / 1000 requests
  EXPECT_EQ(operational.grams_per_unit->high, 1);
  EXPECT_THAT(operational.boundary, testing::HasSubstr("embodied carbon not included"));
  site.hardware = HardwareProfile{};
  site.hardware->name = "H";
  site.hardware->embodied_kg_co2e = Range{8.76, 17.52};
  site.hardware->lifetime_years = 1;
  const Sci full = sci(7.2e6, site, 3600, 1000);
  EXPECT_DOUBLE_EQ(full.grams_per_unit->low, 1.001);  // an hour of 8760 takes 1 g of 8.76 kg
  EXPECT_DOUBLE_EQ(full.grams_per_unit->high, 1.002);
  EXPECT_THAT(full.boundary, testing::HasSubstr("embodied carbon of H"));
  EXPECT_FALSE(sci(std::nullopt, site, 3600, 1000).grams_per_unit.has_value());
  EXPECT_FALSE(sci(7.2e6, site, 3600, 0).grams_per_unit.has_value());
}

// The SCI for AI specification's first example, with its units right: 130 kg over 1e9 tokens is 130
// g per million.
TEST(Derive, SciPerMillionTokens) {
  Site site = example_site();
  site.pue.value = 1;
  const double joules = 130e3 / 400 * 3.6e6;  // what emits 130 kg at 400 g/kWh
  const Sci result = sci(joules, site, 1, 1e9 / 1e6);
  EXPECT_DOUBLE_EQ(result.grams_per_unit->low, 130);
}

TEST(Derive, AccountSaysWhereEachNumberIsFrom) {
  const Figure energy{7.2e6, "J", Provenance::kMeasured, "GPU 0 board"};
  const base::Json account_json = account(energy, 3600, example_site());
  EXPECT_EQ(account_json["kwh"]["value"], 2.0);
  EXPECT_EQ(account_json["kwh"]["provenance"], "measured");
  EXPECT_EQ(account_json["location_grams"]["value"], 1000.0);
  EXPECT_EQ(account_json["location_grams"]["provenance"], "assumed");
  EXPECT_TRUE(account_json["market_grams"]["value"].is_null());
  EXPECT_TRUE(account_json["cost"]["value"].is_null());
  EXPECT_TRUE(account_json["embodied_low_grams"]["value"].is_null());
  const base::Json unknown =
      account(Figure{std::nullopt, "J", Provenance::kMeasured, "failed"}, 1, example_site());
  EXPECT_TRUE(unknown["kwh"]["value"].is_null());
  EXPECT_TRUE(unknown["location_grams"]["value"].is_null());
}

}  // namespace
}  // namespace frugal::energy
