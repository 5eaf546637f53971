#include "energy/site.h"

#include <cstdlib>
#include <fstream>

#include "support/shared_data.h"

namespace frugal::energy {
namespace {

namespace fs = std::filesystem;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

const std::string kSite = R"(name: Example
region: XX
intensity: { grams_per_kwh: 400, kind: average, year: 2024, source: grid report }
market_intensity: { grams_per_kwh: 10, kind: average, year: 2024, source: contract }
pue: { value: 1.25, year: 2023, source: operator }
water: { liters_per_kwh: 0.2, year: 2024, source: meter }
price: { per_kwh: 0.3, currency: EUR, year: 2024, source: invoice }
)";

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Site, ReadsEveryKey) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Site site, parse_site(kSite, "s.yaml", "."));
  EXPECT_EQ(site.intensity.grams_per_kwh, 400);
  EXPECT_EQ(site.market_intensity->source, "contract");
  EXPECT_EQ(site.pue.value, 1.25);
  EXPECT_EQ(site.price->currency, "EUR");
  EXPECT_EQ(site.water->liters_per_kwh, 0.2);
  EXPECT_EQ(to_json(site)["water"]["source"], "meter");
  EXPECT_FALSE(site.hardware.has_value());
  EXPECT_EQ(to_json(site)["intensity"]["year"], 2024);
  EXPECT_TRUE(to_json(site)["hardware"].is_null());
}

TEST(Site, TakesItsHardwareFromAFileBesideIt) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() / "h.yaml")
      << "name: H\nkind: gpu\nsource: s\nyear: 2024\n"
         "embodied_kg_co2e: {low: 1, high: 2}\nlifetime_years: 3\n";
  std::ofstream(folder.path() / "s.yaml") << kSite << "hardware: h.yaml\n";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Site site, load_site(folder.path() / "s.yaml"));
  EXPECT_EQ(site.hardware->embodied_kg_co2e->high, 2);
  std::ofstream(folder.path() / "h.yaml") << "name: H\n";
  FRUGAL_EXPECT_ERROR(load_site(folder.path() / "s.yaml"), kInvalid,
                      "h.yaml:1:1: the key 'kind' is missing");
  fs::remove(folder.path() / "h.yaml");
  FRUGAL_EXPECT_ERROR(load_site(folder.path() / "s.yaml"), kInvalid, "h.yaml': No such file");
  FRUGAL_EXPECT_ERROR(load_site(folder.path() / "none.yaml"), absl::StatusCode::kNotFound,
                      "none.yaml");
}

TEST(Site, WrongKeysAreErrorsWithTheirPlace) {
  FRUGAL_EXPECT_ERROR(parse_site(replaced(kSite, "region:", "regoin:"), "s.yaml", "."), kInvalid,
                      "s.yaml:2:1: unknown key 'regoin'; did you mean 'region'?");
  FRUGAL_EXPECT_ERROR(parse_site(replaced(kSite, "region: XX\n", ""), "s", "."), kInvalid,
                      "'region' is missing");
  FRUGAL_EXPECT_ERROR(parse_site(kSite + "name: again\n", "s.yaml", "."), kInvalid,
                      "s.yaml:8:1: the key 'name' stands twice");
  FRUGAL_EXPECT_ERROR(parse_site(kSite + "extra: 1\n", "s", "."), kInvalid, "unknown key 'extra'");
  FRUGAL_EXPECT_ERROR(parse_site("", "s", "."), kInvalid, "s:1:1: expected a mapping");
}

TEST(Site, SourceAndYearAreRequiredEverywhere) {
  for (const char* part : {", source: grid report", ", source: contract", ", source: operator",
                           ", source: meter", ", source: invoice"}) {
    FRUGAL_EXPECT_ERROR(parse_site(replaced(kSite, part, ""), "s", "."), kInvalid,
                        "'source' is missing");
  }
  FRUGAL_EXPECT_ERROR(parse_site(replaced(kSite, ", year: 2023", ""), "s", "."), kInvalid,
                      "'year' is missing");
}

TEST(Site, ImpossibleValuesAreErrors) {
  FRUGAL_EXPECT_ERROR(parse_site(replaced(kSite, "400", "-1"), "s", "."), kInvalid,
                      "from 1 to 2000");
  FRUGAL_EXPECT_ERROR(parse_site(replaced(kSite, "400", "0.4 kg"), "s", "."), kInvalid, "'0.4 kg'");
  FRUGAL_EXPECT_ERROR(parse_site(replaced(kSite, "1.25", "0.9"), "s", "."), kInvalid,
                      "from 1 to 4; the overhead alone?");
  FRUGAL_EXPECT_ERROR(parse_site(replaced(kSite, "kind: average", "kind: mean"), "s", "."),
                      kInvalid, "'mean'");
  FRUGAL_EXPECT_ERROR(parse_site(replaced(kSite, "year: 2024", "year: 24"), "s", "."), kInvalid,
                      "1990");
}

// Each field has a bound on either side, and names the unit that was probably meant.
TEST(Site, SlipsOfUnitsAreNamed) {
  const auto site = [](std::string_view from, std::string_view to) {
    return parse_site(replaced(kSite, from, to), "s", ".");
  };
  FRUGAL_EXPECT_ERROR(site("400", "0.38"), kInvalid, "kilograms per kWh? Then it is 380");
  FRUGAL_EXPECT_ERROR(site("400", "381000"), kInvalid, "grams per MWh? Then it is 381");
  FRUGAL_EXPECT_ERROR(site("400", "0"), kInvalid, "market_intensity");
  FRUGAL_EXPECT_ERROR(site("grams_per_kwh: 10,", "grams_per_kwh: 0.01,"), kInvalid,
                      "kilograms per kWh? Then it is 10");
  FRUGAL_EXPECT_OK(site("grams_per_kwh: 10,", "grams_per_kwh: 0,"));  // of a contract
  FRUGAL_EXPECT_ERROR(site("1.25", "125"), kInvalid, "percent? Then it is 1.25");
  FRUGAL_EXPECT_ERROR(site("1.25", "0.25"), kInvalid, "the overhead alone?");
  FRUGAL_EXPECT_ERROR(site("0.2,", "200,"), kInvalid, "milliliters? Then it is 0.2");
  FRUGAL_EXPECT_OK(site("0.2,", "0,"));  // cooled by air
  FRUGAL_EXPECT_ERROR(site("0.2,", "-1,"), kInvalid, "from 0 to 10");
  FRUGAL_EXPECT_ERROR(site("0.3,", "30,"), kInvalid, "cents? Then it is 0.3");
  FRUGAL_EXPECT_ERROR(site("0.3,", "300,"), kInvalid, "the price of a MWh? Then it is 0.3");
  FRUGAL_EXPECT_ERROR(site("0.3,", "0.0003,"), kInvalid, "the price of a Wh? Then it is 0.3");
  FRUGAL_EXPECT_ERROR(site("0.3,", "0,"), kInvalid, "leave `price` out");
  FRUGAL_EXPECT_OK(site("0.3, currency: EUR", "30, currency: JPY"));
}

TEST(Site, ShippedSitesAreValid) {
  const char* source = std::getenv("FRUGAL_SOURCE_DIR");
  if (source == nullptr) GTEST_SKIP() << "FRUGAL_SOURCE_DIR is not set";
  int count = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(source) / "configs/sites")) {
    if (entry.path().extension() != ".yaml") continue;
    FRUGAL_EXPECT_OK(load_site(entry.path()));
    ++count;
  }
  EXPECT_GE(count, 20);
}

}  // namespace
}  // namespace frugal::energy
