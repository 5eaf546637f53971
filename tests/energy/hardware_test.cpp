#include "energy/hardware.h"

#include <cstdlib>

#include "support/shared_data.h"

namespace frugal::energy {
namespace {

constexpr const char* kFull = R"(
name: Example 9000
kind: cpu
source: data sheet
year: 2024
tdp_watts: 128
threads: 64
load_factor: 0.75
embodied_kg_co2e: { low: 10, high: 30 }
lifetime_years: 4
price: { low: 800, high: 900 }
idle_watts: 20
currency: EUR
)";

TEST(Hardware, ReadsEveryKey) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const HardwareProfile profile, parse_hardware(kFull, "h.yaml"));
  EXPECT_EQ(
      to_json(profile).dump(),
      R"({"name":"Example 9000","kind":"cpu","source":"data sheet","year":2024,"tdp_watts":128.0,"idle_watts":20.0,"threads":64,)"
      R"("load_factor":0.75,"embodied_kg_co2e":{"low":10.0,"high":30.0},"lifetime_years":4.0,"price":{"low":800.0,"high":900.0},)"
      R"("currency":"EUR"})");
}

TEST(Hardware, UnknownStaysUnknown) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const HardwareProfile profile,
                              parse_hardware("name: x\nkind: gpu\nsource: s\nyear: 2024\n", "h"));
  EXPECT_EQ(profile.tdp_watts, std::nullopt);
  EXPECT_FALSE(profile.embodied_kg_co2e.has_value());
  EXPECT_TRUE(to_json(profile)["price"].is_null());
}

TEST(Hardware, ErrorsNameThePlaceAndComeTogether) {
  const absl::Status status =
      parse_hardware(
          "name: x\nkind: toaster\nsource: s\nyear: 2024\nthreads: 4\ntdp_wats: 5\n"
          "embodied_kg_co2e: {low: 9, high: 3}\nprice: {low: 3, high: 3}\n",
          "h.yaml")
          .status();
  for (const char* text : {"h.yaml:2:1: 'kind' is 'toaster'", "'threads' needs 'tdp_watts'",
                           "h.yaml:6:1: unknown key 'tdp_wats'; did you mean 'tdp_watts'?",
                           "h.yaml:7:19: 'low' is above", "'price' needs a 'currency'"}) {
    FRUGAL_EXPECT_ERROR(status, absl::StatusCode::kInvalidArgument, text);
  }
}

TEST(Hardware, SlipsOfUnitsAreNamed) {
  const auto gpu = [](const std::string& line) {
    return parse_hardware("name: x\nkind: gpu\nsource: s\nyear: 2024\n" + line + "\n", "h");
  };
  const std::vector<std::pair<const char*, const char*>> slips = {
      {"tdp_watts: 0.7", "kilowatts? Then it is 700"},
      {"tdp_watts: 350000", "milliwatts? Then it is 350"},
      {"embodied_kg_co2e: {low: 0.164, high: 200}", "tonnes? Then it is 164"},
      {"embodied_kg_co2e: {low: 164, high: 575000}", "grams? Then it is 575"},
      {"lifetime_years: 36", "months? Then it is 3"},
      {"lifetime_years: 26280", "hours? Then it is 3"},
      {"lifetime_years: 0.1", "from 0.5 to 30"},
      {"tdp_watts: 700\nload_factor: 80", "percent? Then it is 0.8"},
      {"price: {low: 0.9, high: 2}\ncurrency: EUR", "thousands? Then it is 900"},
      {"price: {low: 0, high: 2}\ncurrency: EUR", "leave `price` out"},
      {"price: {low: 5, high: 2}\ncurrency: EUR", "'low' is above 'high'"},
      {"tdp_watts: 100\nidle_watts: 200", "'idle_watts' is above 'tdp_watts'"}};
  for (const auto& [line, slip] : slips)
    FRUGAL_EXPECT_ERROR(gpu(line), absl::StatusCode::kInvalidArgument, slip);
  FRUGAL_EXPECT_OK(gpu("tdp_watts: 700\nembodied_kg_co2e: {low: 164, high: 575}"));
}

TEST(Hardware, SourceAndYearAreRequired) {
  const absl::Status status = parse_hardware("name: x\nkind: gpu\n", "h").status();
  FRUGAL_EXPECT_ERROR(status, absl::StatusCode::kInvalidArgument, "'source' is missing");
  FRUGAL_EXPECT_ERROR(status, absl::StatusCode::kInvalidArgument, "'year' is missing");
}

TEST(Hardware, ShippedProfilesAreValid) {
  const char* source = std::getenv("FRUGAL_SOURCE_DIR");
  if (source == nullptr) GTEST_SKIP() << "FRUGAL_SOURCE_DIR is not set";
  int count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(source) / "configs/hardware")) {
    if (entry.path().extension() != ".yaml") continue;
    FRUGAL_EXPECT_OK(load_hardware(entry.path()));
    ++count;
  }
  EXPECT_GE(count, 12);
}

}  // namespace
}  // namespace frugal::energy
