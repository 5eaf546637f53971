#include "energy/hardware.h"

#include "base/file.h"
#include "base/file_kind.h"
#include "energy/plausible.h"
#include "energy/provenance.h"
#include "energy/strict_yaml.h"

namespace frugal::energy {
namespace {

constexpr int64_t kMaxConfigBytes = 1 << 20;

// What a part or a machine can be: far outside of what is sold, so that only slips are refused.
struct Plausible {
  double least_watts, most_watts;
  double least_kg, most_kg;  // CO2e of its manufacture
};

Plausible plausible(std::string_view kind) {
  if (kind == "cpu") return {1, 2000, 1, 2000};
  if (kind == "gpu") return {5, 5000, 1, 5000};
  return {2, 200000, 1, 50000};  // from a board in a box to a rack
}

std::optional<Range> read_embodied(StrictMap& map, const Plausible& bounds) {
  std::optional<StrictMap> inner = map.map_or_none("embodied_kg_co2e");
  if (!inner) return std::nullopt;
  const auto read = [&](const char* key) {
    return inner->number(key, bounds.least_kg, bounds.most_kg, [&](double value) {
      return likely_unit(value, bounds.least_kg, bounds.most_kg,
                         {{"grams", 1e-3}, {"tonnes", 1000}});
    });
  };
  const Range range{read("low"), read("high")};
  if (range.low > range.high) inner->complain("'low' is above 'high'");
  return range;
}

std::optional<Range> read_price_range(StrictMap& map) {
  std::optional<StrictMap> inner = map.map_or_none("price");
  if (!inner) return std::nullopt;
  // A part or a machine for less than 1 of any currency is a price in thousands.
  const auto read = [&](const char* key) {
    return inner->number(key, 1, 1e10, [](double value) {
      if (value == 0) return std::string("leave `price` out where it is not known");
      return likely_unit(value, 1, 1e10, {{"thousands", 1000}});
    });
  };
  const Range range{read("low"), read("high")};
  if (range.low > range.high) inner->complain("'low' is above 'high'");
  return range;
}

}  // namespace

absl::StatusOr<HardwareProfile> parse_hardware(std::string_view text, std::string_view where) {
  StrictMap map = StrictMap::parse(text, where);
  HardwareProfile profile;
  profile.name = map.text("name");
  profile.kind = map.choice("kind", {"cpu", "gpu", "machine"});
  profile.source = map.text("source");
  profile.year = map.integer("year", 1990, 2100);
  const Plausible bounds = plausible(profile.kind);
  profile.tdp_watts =
      map.number_or_none("tdp_watts", bounds.least_watts, bounds.most_watts, [&](double value) {
        return likely_unit(value, bounds.least_watts, bounds.most_watts,
                           {{"kilowatts", 1000}, {"milliwatts", 1e-3}});
      });
  profile.idle_watts = map.number_or_none("idle_watts", 0.01, bounds.most_watts, [&](double value) {
    return likely_unit(value, 0.01, bounds.most_watts, {{"milliwatts", 1e-3}});
  });
  if (profile.idle_watts && profile.tdp_watts && *profile.idle_watts > *profile.tdp_watts)
    map.complain_of("idle_watts", "'idle_watts' is above 'tdp_watts'");
  profile.threads = map.integer_or_none("threads", 1, 4096);
  profile.load_factor =
      map.number_or_none(
             "load_factor", 0.01, 2,
             [](double value) { return likely_unit(value, 0.01, 2, {{"percent", 0.01}}); })
          .value_or(1);
  profile.embodied_kg_co2e = read_embodied(map, bounds);
  profile.lifetime_years = map.number_or_none("lifetime_years", 0.5, 30, [](double value) {
    return likely_unit(value, 0.5, 30,
                       {{"months", 1.0 / 12}, {"days", 1.0 / 365}, {"hours", 1.0 / 8760}});
  });
  profile.price = read_price_range(map);
  profile.currency = map.text_or("currency", "");
  if (profile.price && profile.currency.empty()) map.complain("'price' needs a 'currency'");
  if (profile.threads && !profile.tdp_watts) map.complain("'threads' needs 'tdp_watts'");
  FRUGAL_RETURN_IF_ERROR(map.finish());
  return profile;
}

absl::StatusOr<HardwareProfile> load_hardware(const std::filesystem::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, base::read_file(path, kMaxConfigBytes));
  FRUGAL_RETURN_IF_ERROR(base::refuse_foreign(text, path));
  return parse_hardware(text, path.string());
}

base::Json to_json(const HardwareProfile& profile) {
  return {{"name", profile.name},
          {"kind", profile.kind},
          {"source", profile.source},
          {"year", profile.year},
          {"tdp_watts", json_or_null(profile.tdp_watts)},
          {"idle_watts", json_or_null(profile.idle_watts)},
          {"threads", profile.threads ? base::Json(*profile.threads) : base::Json(nullptr)},
          {"load_factor", profile.load_factor},
          {"embodied_kg_co2e", to_json(profile.embodied_kg_co2e)},
          {"lifetime_years", json_or_null(profile.lifetime_years)},
          {"price", to_json(profile.price)},
          {"currency", profile.currency}};
}

}  // namespace frugal::energy
