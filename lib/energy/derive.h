// What follows from joules: pure functions. An unknown input gives an unknown output.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "energy/hardware.h"
#include "energy/provenance.h"
#include "energy/site.h"

namespace frugal::energy {

std::optional<double> joules_per_token(std::optional<double> energy_joules, double tokens);
// (J/token) / 3.6
std::optional<double> kilowatt_hours_per_million_tokens(std::optional<double> joules_per_token);
std::optional<double> kilowatt_hours(std::optional<double> energy_joules);
std::optional<double> requests_per_kilowatt_hour(std::optional<double> joules_per_request);
// Requests (or tokens) after which a one-off cost has been saved; absent where nothing is saved.
std::optional<double> break_even(std::optional<double> one_off_joules,
                                 std::optional<double> joules_before,
                                 std::optional<double> joules_after);

// Carbon of an amount of computing energy at a site, PUE included. Location- and market-based side
// by side, as the GHG Protocol's scope 2 guidance asks.
struct Carbon {
  std::optional<double> location_grams;  // gCO2e
  std::optional<double> market_grams;    // absent: no contract in the site file
};
Carbon carbon(std::optional<double> energy_joules, const Site& site);

// Embodied carbon of using hardware for a while: M = TE · (TiR / EL) · (RR / ToR) (SCI
// specification). `share` is RR/ToR, the share of the hardware that was reserved. Grams. Absent
// where the profile lacks carbon or lifetime.
std::optional<Range> embodied_grams(const HardwareProfile& profile, double seconds,
                                    double share = 1);

// SCI = (E · I + M) per R: grams per functional unit, location-based, PUE included; a range because
// M is one.
struct Sci {
  std::optional<Range> grams_per_unit;
  std::string boundary;  // what is inside: "computing energy × PUE, embodied carbon of …"
};
Sci sci(std::optional<double> energy_joules, const Site& site, double seconds, double units,
        double share = 1);

// Price of an amount of computing energy at a site, PUE included; absent without a price.
std::optional<double> energy_cost(std::optional<double> energy_joules, const Site& site);

// The provenance of anything that was multiplied by a site's factors: those are assumed, whatever
// the joules are.
Provenance derived_from_site(Provenance energy);

// All of the above for one amount of energy, as {"kwh", "location_grams", …} of figures.
base::Json account(const Figure& energy_joules, double seconds, const Site& site);

}  // namespace frugal::energy
