// What follows from joules: pure functions. An unknown input gives an unknown output.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "energy/hardware.h"
#include "energy/provenance.h"
#include "energy/site.h"

namespace frugal::energy {

std::optional<double> joules_per_token(std::optional<double> energy_joules, double tokens);
// (J/token) / 3.6
std::optional<double> kilowatt_hours_per_million_tokens(std::optional<double> joules_per_token);
std::optional<double> requests_per_kilowatt_hour(std::optional<double> joules_per_request);
// Requests (or tokens) after which a one-off cost has been saved; absent where nothing is saved.
std::optional<double> break_even(std::optional<double> one_off_joules,
                                 std::optional<double> joules_before,
                                 std::optional<double> joules_after);

// When a one-off amount (of compressing a model) is paid back by what every unit saves from then
// on: joules against joules, or grams against grams. `units_per_day`: the stated load.
struct BreakEven {
  std::optional<double> units, days;
  std::string reason;  // why there is none
  std::vector<std::string> marks;
};
BreakEven break_even(const Figure& one_off, const Figure& before, const Figure& after,
                     std::optional<double> units_per_day);

// Carbon of an amount of computing energy at a site, PUE included. Location- and market-based side
// by side, as the GHG Protocol's scope 2 guidance asks.
struct SiteCarbon {
  std::optional<double> location_grams;  // gCO2e
  std::optional<double> market_grams;    // absent: no contract in the site file
};
SiteCarbon carbon(std::optional<double> energy_joules, const Site& site);

// Embodied carbon of using hardware for a while: M = TE · (TiR / EL) · (RR / ToR) (SCI
// specification). `share` is RR/ToR, the share of the hardware that was reserved. Grams. Absent
// where the profile lacks carbon or lifetime.
std::optional<Range> embodied_grams(const HardwareProfile& profile, double seconds,
                                    double share = 1);

// Price of an amount of computing energy at a site, PUE included; absent without a price.
std::optional<double> energy_cost(std::optional<double> energy_joules, const Site& site);

// The provenance of anything that was multiplied by a site's factors: those are assumed, whatever
// the joules are.
Provenance derived_from_site(Provenance energy);

// What was done with an amount of energy.
struct Usage {
  Figure energy;       // J, of the computers alone
  double seconds = 0;  // for which the hardware was reserved
  double units = 0;    // functional units that came of it: tokens, requests
  std::string unit;    // "token", "request"
  double share = 1;    // of the hardware
};

// Everything that follows for a site. Ranges and marks of the energy stay on every figure; what is
// known only within bounds (embodied carbon) has a range and no value; unknown has neither, and its
// basis says why. Each basis names source and year of its factors.
struct Footprint {
  Figure kilowatt_hours;  // kWh, without overhead
  Figure location_grams;  // scope 2, location-based
  Figure market_grams;    // scope 2, market-based
  Figure embodied_grams;  // scope 3, of the hardware
  Figure water_liters;    // of the site's cooling
  Figure cost;            // of the energy, in the site's currency
  // SCI = (E · I + M) per R, gCO2e for each unit; location-based, as the specification asks. Its
  // basis is the boundary: what is inside, and what is not.
  Figure sci_grams_per_unit;
};
Footprint footprint(const Usage& usage, const Site& site);

// {"energy", "kwh", "location_grams", …} of figures.
base::Json to_json(const Footprint& footprint);

}  // namespace frugal::energy
