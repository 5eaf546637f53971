#include "energy/derive.h"

#include <cmath>

#include "base/units.h"
#include "energy/quantity.h"

namespace frugal::energy {
namespace {

std::optional<double> known(double value) {
  return std::isfinite(value) ? std::optional<double>(value) : std::nullopt;
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

BreakEven break_even(const Figure& one_off, const Figure& before, const Figure& after,
                     std::optional<double> units_per_day) {
  BreakEven out;
  for (const Figure* figure : {&one_off, &before, &after}) {
    for (const std::string& mark : figure->marks) add_mark(mark, &out.marks);
    if (!figure->value && out.reason.empty())
      out.reason = figure->basis.empty() ? "a part of it is unknown" : figure->basis;
  }
  if (!out.reason.empty()) return out;
  if (one_off.unit != before.unit || before.unit != after.unit) {
    out.reason = base::str_cat("'", one_off.unit, "', '", before.unit, "' and '", after.unit,
                               "' cannot be set off against each other");
    return out;
  }
  out.units = break_even(one_off.value, before.value, after.value);
  if (!out.units) out.reason = "nothing is saved: never";
  if (out.units && units_per_day && *units_per_day > 0) out.days = *out.units / *units_per_day;
  return out;
}

SiteCarbon carbon(std::optional<double> energy_joules, const Site& site) {
  if (!energy_joules) return {};
  const Energy drawn = joules(*energy_joules) * site.pue.value;
  const auto grams_by = [&](const Intensity& intensity) {
    return (drawn * grams_per_kilowatt_hour(intensity.grams_per_kwh)).in(grams(1));
  };
  SiteCarbon out;
  out.location_grams = grams_by(site.intensity);
  if (site.market_intensity) out.market_grams = grams_by(*site.market_intensity);
  return out;
}

std::optional<Range> embodied_grams(const HardwareProfile& profile, double used_seconds,
                                    double share) {
  if (!profile.embodied_kg_co2e || !profile.lifetime_years || !(used_seconds >= 0))
    return std::nullopt;
  const double part = seconds(used_seconds).in(years(*profile.lifetime_years))*share;
  return Range{(kilograms(profile.embodied_kg_co2e->low) * part).in(grams(1)),
               (kilograms(profile.embodied_kg_co2e->high) * part).in(grams(1))};
}

std::optional<double> energy_cost(std::optional<double> energy_joules, const Site& site) {
  if (!energy_joules || !site.price) return std::nullopt;
  const EnergyPrice price = money(site.price->per_kwh) / kilowatt_hours(1);
  return known((joules(*energy_joules) * site.pue.value * price).in(money(1)));
}

Provenance derived_from_site(Provenance energy) { return weakest(energy, Provenance::kAssumed); }

namespace {

Figure unknown(std::string unit, std::string why) {
  return {std::nullopt, std::move(unit), Provenance::kAssumed, std::move(why)};
}

// The energy times factors of the site; what makes it unsure stays on it.
Figure by_site(const Figure& energy, double factor, std::string unit, std::string factors) {
  Figure out = scaled(energy, factor, std::move(unit));
  out.provenance = derived_from_site(energy.provenance);
  if (!out.value) return out;  // its basis says why
  out.basis =
      energy.basis.empty() ? std::move(factors) : base::str_cat(energy.basis, "; ", factors);
  return out;
}

std::string pue_text(const Site& site) {
  return base::str_cat("PUE ", site.pue.value, " (", site.pue.source, ", ", site.pue.year, ")");
}

Figure grams_figure(const Figure& energy, const Intensity& intensity, const Site& site) {
  const double factor =
      (joules(1) * site.pue.value * grams_per_kilowatt_hour(intensity.grams_per_kwh)).in(grams(1));
  return by_site(energy, factor, "gCO2e",
                 base::str_cat(intensity.grams_per_kwh, " g/kWh, ", intensity.kind, " (",
                               intensity.source, ", ", intensity.year, "); ", pue_text(site)));
}

Figure water_figure(const Figure& energy, const Site& site) {
  if (!site.water) return unknown("L", "the site file says nothing of water");
  const WaterUse& water = *site.water;
  // WUE is a quotient by the energy of the computers alone: no PUE.
  const double factor = (joules(1) * liters_per_kilowatt_hour(water.liters_per_kwh)).in(liters(1));
  return by_site(energy, factor, "L",
                 base::str_cat(water.liters_per_kwh, " L/kWh on site (", water.source, ", ",
                               water.year, "), that of power plants not included"));
}

Figure cost_figure(const Figure& energy, const Site& site) {
  if (!site.price) return unknown("", "no price in the site file");
  const Price& price = *site.price;
  return by_site(energy, energy_cost(1.0, site).value_or(0), price.currency,
                 base::str_cat(price.per_kwh, " ", price.currency, "/kWh (", price.source, ", ",
                               price.year, "); ", pue_text(site)));
}

Figure embodied_figure(const Usage& usage, const Site& site) {
  if (!site.hardware) return unknown("gCO2e", "the site names no hardware");
  const HardwareProfile& hardware = *site.hardware;
  Figure out = unknown("gCO2e", base::str_cat("of ", hardware.name, " (", hardware.source, ", ",
                                              hardware.year, ")"));
  out.range = embodied_grams(hardware, usage.seconds, usage.share);
  if (!out.range)
    out.basis =
        base::str_cat(hardware.name, " has no embodied carbon or no lifetime in its profile");
  return out;
}

Figure sci_figure(const Usage& usage, const Figure& operational, const Figure& embodied) {
  Figure out = unknown(base::str_cat("gCO2e/", usage.unit.empty() ? "unit" : usage.unit), "");
  out.marks = operational.marks;
  if (!(usage.units > 0)) {
    out.basis = "nothing came of it: the number of units is unknown";
    return out;
  }
  if (!operational.value) {
    out.basis = operational.basis;
    return out;
  }
  out.basis =
      base::str_cat(operational.basis,
                    embodied.range ? "; with embodied carbon " : "; embodied carbon not included: ",
                    embodied.basis);
  const Range energy = operational.range.value_or(Range{*operational.value, *operational.value});
  const Range hardware = embodied.range.value_or(Range{});
  const Units made = units(usage.units);
  const auto score = [&](double operational_grams, double embodied_part) {
    return ((grams(operational_grams) + grams(embodied_part)) / made).in(grams(1) / units(1));
  };
  out.range = Range{score(energy.low, hardware.low), score(energy.high, hardware.high)};
  // Without bounds on either part it is a number.
  if (out.range->low == out.range->high) out.value = out.range->low;
  return out;
}

}  // namespace

Footprint footprint(const Usage& usage, const Site& site) {
  const Figure& energy = usage.energy;
  Footprint out;
  out.kilowatt_hours = scaled(energy, joules(1).in(energy::kilowatt_hours(1)), "kWh");
  out.location_grams = grams_figure(energy, site.intensity, site);
  out.market_grams = site.market_intensity
                         ? grams_figure(energy, *site.market_intensity, site)
                         : unknown("gCO2e", "no market-based intensity in the site file");
  out.embodied_grams = embodied_figure(usage, site);
  out.water_liters = water_figure(energy, site);
  out.cost = cost_figure(energy, site);
  out.sci_grams_per_unit = sci_figure(usage, out.location_grams, out.embodied_grams);
  return out;
}

base::Json to_json(const Footprint& footprint) {
  return {{"kwh", to_json(footprint.kilowatt_hours)},
          {"location_grams", to_json(footprint.location_grams)},
          {"market_grams", to_json(footprint.market_grams)},
          {"embodied_grams", to_json(footprint.embodied_grams)},
          {"water_liters", to_json(footprint.water_liters)},
          {"cost", to_json(footprint.cost)},
          {"sci_grams_per_unit", to_json(footprint.sci_grams_per_unit)}};
}

}  // namespace frugal::energy
