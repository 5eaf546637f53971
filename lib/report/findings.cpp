#include "report/findings.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/text.h"
#include "energy/quantity.h"
#include "report/access.h"
#include "report/architectures.h"
#include "report/claim.h"
#include "report/models.h"

namespace frugal::report {

using base::Json;
using base::str_cat;

std::string in_words(double value, std::string_view unit) {
  if (unit == "fraction") return absl::StrFormat("%.1f%%", 100 * value);
  if (unit == "bytes") return base::format_bytes(value);
  if (unit == "seconds") return base::format_duration(value);
  if (unit == "count") return base::format_count(static_cast<int64_t>(value));
  if (std::abs(value) >= 1e4 && std::abs(value) < 1e15)
    return base::format_count(std::llround(value));
  return absl::StrFormat("%.4g", value);
}

namespace {

// What making the hardware emitted, for each hour of its lifetime; null where the profile lacks
// one of the two.
Json embodied_grams_per_hour(const Json& hardware, const char* bound) {
  const Json kilograms = any_at(object_at(hardware, "embodied_kg_co2e"), bound);
  const Json years = any_at(hardware, "lifetime_years");
  if (!kilograms.is_number() || !years.is_number() || !(years.get<double>() > 0)) return nullptr;
  const energy::Carbon whole = energy::kilograms(kilograms.get<double>());
  return (whole / energy::years(years.get<double>())).in(energy::grams(1) / energy::hours(1));
}

// Joules and speed of what was metered, called by its `name`.
Json derived_rows(const Json& metered, const char* name) {
  Json rows = Json::array();
  for (const Json& row : metered) {
    const Json* joules = find_number(row, kEnergy);
    if (joules == nullptr) continue;
    const Json* speed = find_number(row, "tokens_per_second");
    rows.push_back({{"name", row[name]},
                    {"joules", *joules},
                    {"tokens_per_second", speed == nullptr ? Json() : *speed}});
  }
  return rows;
}

}  // namespace

Json derived_figure(const JournalView& journal, const Json& architectures, const Json& served) {
  const auto site = journal.run_start.find("site");
  if (site == journal.run_start.end() || !site->is_object()) return nullptr;
  Json rows = derived_rows(served, "label");
  const bool of_served = !rows.empty();
  if (!of_served) rows = derived_rows(architectures, "architecture");
  if (rows.empty()) return nullptr;
  const Json price = object_at(*site, "price");
  Json assumptions = Json::array();
  // An assumption that the site file does not make is null: the reader may make it, nobody else.
  const auto assume = [&](const std::string& key, std::string title, const Json& value,
                          const Json& of) {
    assumptions.push_back(
        {{"key", key},
         {"title", std::move(title)},
         {"value", value.is_number() ? value : Json()},
         {"source", value.is_number() ? str_cat(text_at(of, "source"), ", ", integer_at(of, "year"))
                                      : "not in the site file"}});
  };
  const Json intensity = object_at(*site, "intensity");
  const Json market = object_at(*site, "market_intensity");
  const Json pue = object_at(*site, "pue");
  const Json water = object_at(*site, "water");
  const Json hardware = object_at(*site, "hardware");
  assume("intensity", "grid, gCO2e/kWh", any_at(intensity, "grams_per_kwh"), intensity);
  assume("market", "contract, gCO2e/kWh", any_at(market, "grams_per_kwh"), market);
  assume("pue", "PUE", any_at(pue, "value"), pue);
  assume("water", "water on site, L/kWh", any_at(water, "liters_per_kwh"), water);
  for (const char* bound : {"low", "high"}) {
    assume(str_cat("embodied_", bound), str_cat("hardware, gCO2e/h (", bound, ")"),
           embodied_grams_per_hour(hardware, bound), hardware);
  }
  assume("price", str_cat("price per kWh, ", text_at(price, "currency", "any currency")),
         any_at(price, "per_kwh"), price);
  return {
      {"finding", str_cat("Carbon and cost of a million tokens at ",
                          text_at(*site, "name", "the assumed site"))},
      {"description",
       str_cat(
           "Joules are of this run, of each ",
           of_served ? "artifact in its runtime" : "architecture in frugal's own fp32 forward",
           "; what turns them into carbon, water and money are assumptions of the site file, "
           "and may be edited here. "
           "Location- and market-based emissions (scope 2) stand side by side; SCI is "
           "location-based "
           "and adds what making the hardware emitted (scope 3), shared out over its lifetime.")},
      {"name_title", of_served ? "artifact" : "architecture"},
      {"joules_title", "J per 1M tokens"},
      {"currency", text_at(price, "currency", "in the currency of the price")},
      {"assumptions", assumptions},
      {"rows", rows}};
}

}  // namespace frugal::report
