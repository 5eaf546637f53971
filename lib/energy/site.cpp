#include "energy/site.h"

#include "base/file.h"
#include "energy/provenance.h"
#include "energy/strict_yaml.h"

namespace frugal::energy {
namespace {

using base::Json;
constexpr int64_t kMaxConfigBytes = 1 << 20;
constexpr int64_t kFirstYear = 1990, kLastYear = 2100;

Intensity read_intensity(StrictMap map) {
  Intensity intensity;
  // The dirtiest grids are near 1000 g/kWh: more than 3000 is kg, lb or MWh taken for something
  // else.
  intensity.grams_per_kwh = map.number("grams_per_kwh", 0, 3000);
  intensity.kind = map.choice("kind", {"average", "marginal"});
  intensity.year = map.integer("year", kFirstYear, kLastYear);
  intensity.source = map.text("source");
  return intensity;
}

Effectiveness read_effectiveness(StrictMap map) {
  Effectiveness pue;
  pue.value = map.number("value", 1, 10);
  pue.year = map.integer("year", kFirstYear, kLastYear);
  pue.source = map.text("source");
  return pue;
}

Price read_price(StrictMap map) {
  Price price;
  price.per_kwh = map.number("per_kwh", 0, 1e6);
  price.currency = map.text("currency");
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
  StrictMap map = StrictMap::parse(text, where);
  Site site;
  site.name = map.text("name");
  site.region = map.text("region");
  site.intensity = read_intensity(map.map("intensity"));
  if (auto market = map.map_or_none("market_intensity"))
    site.market_intensity = read_intensity(*market);
  site.pue = read_effectiveness(map.map("pue"));
  if (auto price = map.map_or_none("price")) site.price = read_price(*price);
  const std::string hardware = map.text_or("hardware", "");
  if (!hardware.empty()) {
    auto profile = load_hardware(folder / hardware);
    if (profile.ok()) site.hardware = *std::move(profile);
    if (!profile.ok())
      map.complain(base::str_cat("'hardware': ", base::as_std(profile.status().message())));
  }
  FRUGAL_RETURN_IF_ERROR(map.finish());
  return site;
}

absl::StatusOr<Site> load_site(const std::filesystem::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, base::read_file(path, kMaxConfigBytes));
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
  return {
      {"name", site.name},
      {"region", site.region},
      {"intensity", to_json(site.intensity)},
      {"market_intensity", site.market_intensity ? to_json(*site.market_intensity) : Json(nullptr)},
      {"pue", {{"value", site.pue.value}, {"year", site.pue.year}, {"source", site.pue.source}}},
      {"price", price},
      {"hardware", site.hardware ? to_json(*site.hardware) : Json(nullptr)}};
}

}  // namespace frugal::energy
