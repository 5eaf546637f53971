#include "energy/site.h"

#include "base/file.h"
#include "base/file_kind.h"
#include "energy/plausible.h"
#include "energy/provenance.h"
#include "energy/strict_yaml.h"

namespace frugal::energy {
namespace {

using base::Json;
constexpr int64_t kMaxConfigBytes = 1 << 20;
constexpr int64_t kFirstYear = 1990, kLastYear = 2100;

// Lignite burned for nothing else emits 1200 g/kWh, the cleanest grids 20 (water, wind and atoms,
// life cycle), a few less where only what is burned counts.
constexpr double kCleanestGrid = 1, kDirtiestGrid = 2000;

// `contract`: of a tariff, which may count as 0.
Intensity read_intensity(StrictMap map, bool contract) {
  Intensity intensity;
  const auto slip = [&](double value) {
    if (value == 0 && !contract)
      return std::string("no grid emits nothing; what a contract says belongs to market_intensity");
    return likely_unit(value, kCleanestGrid, kDirtiestGrid,
                       {{"kilograms per kWh", 1000}, {"grams per MWh", 1e-3}});
  };
  intensity.grams_per_kwh =
      map.number("grams_per_kwh", contract ? 0 : kCleanestGrid, kDirtiestGrid, slip);
  if (contract && intensity.grams_per_kwh > 0 && intensity.grams_per_kwh < kCleanestGrid)
    map.complain_of("grams_per_kwh",
                    base::str_cat("'grams_per_kwh' is ", intensity.grams_per_kwh,
                                  ", expected 0 or a number from ", kCleanestGrid, " to ",
                                  kDirtiestGrid, "; ", slip(intensity.grams_per_kwh)));
  intensity.kind = map.choice("kind", {"average", "marginal"});
  intensity.year = map.integer("year", kFirstYear, kLastYear);
  intensity.source = map.text("source");
  return intensity;
}

Effectiveness read_effectiveness(StrictMap map) {
  Effectiveness pue;
  // The worst server rooms that were published use three times what their computers do.
  pue.value = map.number("value", 1, 4, [](double value) -> std::string {
    if (value > 0 && value < 1)
      return base::str_cat("the overhead alone? The PUE counts the computers, too: ", 1 + value);
    return likely_unit(value, 1, 4, {{"percent", 0.01}});
  });
  pue.year = map.integer("year", kFirstYear, kLastYear);
  pue.source = map.text("source");
  return pue;
}

WaterUse read_water(StrictMap map) {
  // Evaporative coolers in a desert use a few liters.
  constexpr double kMostLiters = 10;
  WaterUse water;
  water.liters_per_kwh = map.number("liters_per_kwh", 0, kMostLiters, [](double value) {
    return likely_unit(value, 0, kMostLiters, {{"milliliters", 1e-3}, {"liters per MWh", 1e-3}});
  });
  water.year = map.integer("year", kFirstYear, kLastYear);
  water.source = map.text("source");
  return water;
}

Price read_price(StrictMap map) {
  Price price;
  price.currency = map.text("currency");
  const PriceRange range = price_per_kwh(price.currency);
  price.per_kwh = map.number("per_kwh", range.low, range.high, [&](double value) {
    if (value == 0) return std::string("leave `price` out where it is not known");
    return likely_unit(value, range.low, range.high,
                       {{"cents", 0.01}, {"the price of a MWh", 1e-3}, {"the price of a Wh", 1e3}});
  });
  price.year = map.integer("year", kFirstYear, kLastYear);
  price.source = map.text("source");
  return price;
}

Json to_json(const Intensity& intensity) {
  return {{"grams_per_kwh", intensity.grams_per_kwh},
          {"kind", intensity.kind},
          {"year", intensity.year},
          {"source", intensity.source}};
}

}  // namespace

absl::StatusOr<Site> parse_site(std::string_view text, std::string_view where,
                                const std::filesystem::path& folder) {
  return parse_site(text, where,
                    [&](const std::string& name) { return load_hardware(folder / name); });
}

absl::StatusOr<Site> parse_site(
    std::string_view text, std::string_view where,
    const std::function<absl::StatusOr<HardwareProfile>(const std::string& name)>& load) {
  StrictMap map = StrictMap::parse(text, where);
  Site site;
  site.name = map.text("name");
  site.region = map.text("region");
  site.intensity = read_intensity(map.map("intensity"), false);
  if (auto market = map.map_or_none("market_intensity"))
    site.market_intensity = read_intensity(*market, true);
  site.pue = read_effectiveness(map.map("pue"));
  if (auto water = map.map_or_none("water")) site.water = read_water(*water);
  if (auto price = map.map_or_none("price")) site.price = read_price(*price);
  site.hardware_file = map.text_or("hardware", "");
  if (!site.hardware_file.empty()) {
    auto profile = load(site.hardware_file);
    if (profile.ok()) site.hardware = *std::move(profile);
    if (!profile.ok())
      map.complain(base::str_cat("'hardware': ", base::as_std(profile.status().message())));
  }
  FRUGAL_RETURN_IF_ERROR(map.finish());
  return site;
}

absl::StatusOr<Site> load_site(const std::filesystem::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, base::read_file(path, kMaxConfigBytes));
  FRUGAL_RETURN_IF_ERROR(base::refuse_foreign(text, path));
  return parse_site(text, path.string(), path.parent_path());
}

Json to_json(const Site& site) {
  Json price = nullptr;
  if (site.price) {
    price = {{"per_kwh", site.price->per_kwh},
             {"currency", site.price->currency},
             {"year", site.price->year},
             {"source", site.price->source}};
  }
  Json water = nullptr;
  if (site.water) {
    water = {{"liters_per_kwh", site.water->liters_per_kwh},
             {"year", site.water->year},
             {"source", site.water->source}};
  }
  return {
      {"name", site.name},
      {"region", site.region},
      {"intensity", to_json(site.intensity)},
      {"market_intensity", site.market_intensity ? to_json(*site.market_intensity) : Json(nullptr)},
      {"pue", {{"value", site.pue.value}, {"year", site.pue.year}, {"source", site.pue.source}}},
      {"water", water},
      {"price", price},
      {"hardware", site.hardware ? to_json(*site.hardware) : Json(nullptr)}};
}

}  // namespace frugal::energy
