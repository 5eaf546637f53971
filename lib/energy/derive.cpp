#include "energy/derive.h"

#include <cmath>

#include "base/units.h"

namespace frugal::energy {
namespace {

// Lifetimes of hardware are counted in years of 8760 hours (Boavizta: 4 years are 35,040 h).
constexpr double kSecondsPerYear = 8760.0 * 3600.0;

std::optional<double> known(double value) {
  return std::isfinite(value) ? std::optional<double>(value) : std::nullopt;
}

Figure figure(std::optional<double> value, std::string unit, Provenance provenance,
              std::string basis) {
  return {value, std::move(unit), provenance, std::move(basis)};
}

}  // namespace

std::optional<double> joules_per_token(std::optional<double> energy_joules, double tokens) {
  if (!energy_joules || !(tokens > 0)) return std::nullopt;
  return known(*energy_joules / tokens);
}

std::optional<double> kilowatt_hours_per_million_tokens(std::optional<double> joules_per_token) {
  if (!joules_per_token) return std::nullopt;
  return known(*joules_per_token / 3.6);
}

std::optional<double> kilowatt_hours(std::optional<double> energy_joules) {
  if (!energy_joules) return std::nullopt;
  return known(base::kilowatt_hours(*energy_joules));
}

std::optional<double> requests_per_kilowatt_hour(std::optional<double> joules_per_request) {
  if (!joules_per_request || !(*joules_per_request > 0)) return std::nullopt;
  return known(base::requests_per_kilowatt_hour(*joules_per_request));
}

std::optional<double> break_even(std::optional<double> one_off_joules,
                                 std::optional<double> joules_before,
                                 std::optional<double> joules_after) {
  if (!one_off_joules || !joules_before || !joules_after) return std::nullopt;
  const double saved = *joules_before - *joules_after;
  if (!(saved > 0)) return std::nullopt;
  return known(*one_off_joules / saved);
}

Carbon carbon(std::optional<double> energy_joules, const Site& site) {
  if (!energy_joules) return {};
  Carbon out;
  out.location_grams =
      base::grams_co2e(*energy_joules, site.intensity.grams_per_kwh, site.pue.value);
  if (site.market_intensity) {
    out.market_grams =
        base::grams_co2e(*energy_joules, site.market_intensity->grams_per_kwh, site.pue.value);
  }
  return out;
}

std::optional<Range> embodied_grams(const HardwareProfile& profile, double seconds, double share) {
  if (!profile.embodied_kg_co2e || !profile.lifetime_years || !(seconds >= 0)) return std::nullopt;
  const double part = 1000 * (seconds / (*profile.lifetime_years * kSecondsPerYear)) * share;
  return Range{profile.embodied_kg_co2e->low * part, profile.embodied_kg_co2e->high * part};
}

Sci sci(std::optional<double> energy_joules, const Site& site, double seconds, double units,
        double share) {
  Sci out;
  out.boundary =
      base::str_cat("metered energy × PUE ", site.pue.value, " × ", site.intensity.grams_per_kwh,
                    " g/kWh (", site.intensity.kind, ", ", site.intensity.year, ")");
  const std::optional<double> operational = carbon(energy_joules, site).location_grams;
  std::optional<Range> embodied;
  if (site.hardware) embodied = embodied_grams(*site.hardware, seconds, share);
  if (embodied) {
    out.boundary += base::str_cat(" + embodied carbon of ", site.hardware->name);
  } else {
    out.boundary +=
        "; embodied carbon not included: the site names no hardware with carbon and lifetime";
  }
  if (!operational || !(units > 0)) return out;
  const Range extra = embodied.value_or(Range{});
  out.grams_per_unit =
      Range{(*operational + extra.low) / units, (*operational + extra.high) / units};
  return out;
}

std::optional<double> energy_cost(std::optional<double> energy_joules, const Site& site) {
  if (!energy_joules || !site.price) return std::nullopt;
  return known(base::kilowatt_hours(*energy_joules) * site.pue.value * site.price->per_kwh);
}

Provenance derived_from_site(Provenance energy) { return weakest(energy, Provenance::kAssumed); }

base::Json account(const Figure& energy_joules, double seconds, const Site& site) {
  const Provenance assumed = derived_from_site(energy_joules.provenance);
  const Carbon grams = carbon(energy_joules.value, site);
  std::string market = "no market-based intensity in the site file";
  if (site.market_intensity) market = site.market_intensity->source;
  base::Json out = {
      {"energy", to_json(energy_joules)},
      {"kwh", to_json(figure(kilowatt_hours(energy_joules.value), "kWh", energy_joules.provenance,
                             energy_joules.basis))},
      {"location_grams",
       to_json(figure(grams.location_grams, "gCO2e", assumed,
                      base::str_cat(site.intensity.source, ", ", site.intensity.year, "; PUE ",
                                    site.pue.value)))},
      {"market_grams", to_json(figure(grams.market_grams, "gCO2e", assumed, market))},
      {"cost", to_json(figure(energy_cost(energy_joules.value, site),
                              site.price ? site.price->currency : "", assumed,
                              site.price ? site.price->source : "no price in the site file"))}};
  std::optional<Range> embodied;
  if (site.hardware) embodied = embodied_grams(*site.hardware, seconds);
  const auto bound = [&](double Range::* side) {
    return embodied ? std::optional<double>((*embodied).*side) : std::nullopt;
  };
  const std::string basis = site.hardware ? site.hardware->source : "the site names no hardware";
  out["embodied_low_grams"] = to_json(figure(bound(&Range::low), "gCO2e", assumed, basis));
  out["embodied_high_grams"] = to_json(figure(bound(&Range::high), "gCO2e", assumed, basis));
  return out;
}

}  // namespace frugal::energy
