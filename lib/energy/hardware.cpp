#include "energy/hardware.h"

#include "base/file.h"
#include "energy/provenance.h"
#include "energy/strict_yaml.h"

namespace frugal::energy {
namespace {

constexpr int64_t kMaxConfigBytes = 1 << 20;

std::optional<Range> read_range(StrictMap& map, std::string_view key) {
  std::optional<StrictMap> inner = map.map_or_none(key);
  if (!inner) return std::nullopt;
  const Range range{inner->number("low", 0, 1e9), inner->number("high", 0, 1e9)};
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
  profile.tdp_watts = map.number_or_none("tdp_watts", 0.1, 1e6);
  profile.threads = map.integer_or_none("threads", 1, 1 << 20);
  profile.load_factor = map.number_or_none("load_factor", 0.01, 10).value_or(1);
  profile.embodied_kg_co2e = read_range(map, "embodied_kg_co2e");
  profile.lifetime_years = map.number_or_none("lifetime_years", 0.1, 100);
  profile.price = map.number_or_none("price", 0, 1e9);
  profile.currency = map.text_or("currency", "");
  if (profile.price && profile.currency.empty()) map.complain("'price' needs a 'currency'");
  if (profile.threads && !profile.tdp_watts) map.complain("'threads' needs 'tdp_watts'");
  FRUGAL_RETURN_IF_ERROR(map.finish());
  return profile;
}

absl::StatusOr<HardwareProfile> load_hardware(const std::filesystem::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, base::read_file(path, kMaxConfigBytes));
  return parse_hardware(text, path.string());
}

base::Json to_json(const HardwareProfile& profile) {
  base::Json embodied = nullptr;
  if (profile.embodied_kg_co2e) {
    embodied = {{"low", profile.embodied_kg_co2e->low}, {"high", profile.embodied_kg_co2e->high}};
  }
  return {{"name", profile.name},
          {"kind", profile.kind},
          {"source", profile.source},
          {"year", profile.year},
          {"tdp_watts", json_or_null(profile.tdp_watts)},
          {"threads", profile.threads ? base::Json(*profile.threads) : base::Json(nullptr)},
          {"load_factor", profile.load_factor},
          {"embodied_kg_co2e", embodied},
          {"lifetime_years", json_or_null(profile.lifetime_years)},
          {"price", json_or_null(profile.price)},
          {"currency", profile.currency}};
}

}  // namespace frugal::energy
