// Quantities with their unit in the name, conversions in one place, and the parser for "20M",
// "70GiB", "2h".
#pragma once

#include <string_view>

#include "base/status.h"

namespace frugal::base {

inline constexpr double kJoulesPerKilowattHour = 3.6e6;

inline constexpr double kilowatt_hours(double energy_joules) {
  return energy_joules / kJoulesPerKilowattHour;
}
// gCO2e for an energy drawn at `intensity` g/kWh with a power usage effectiveness `pue`.
inline constexpr double grams_co2e(double energy_joules, double intensity_g_per_kwh, double pue) {
  return kilowatt_hours(energy_joules) * intensity_g_per_kwh * pue;
}
inline constexpr double requests_per_kilowatt_hour(double joules_per_request) {
  return kJoulesPerKilowattHour / joules_per_request;
}

// "20M" -> 2e7; suffixes k, M, G, T (powers of 1000). Errors: anything else behind the number.
absl::StatusOr<double> parse_count(std::string_view text);
// "70GiB", "512 MB", "4096": bytes; KiB..TiB are powers of 1024, kB..TB of 1000.
absl::StatusOr<double> parse_bytes(std::string_view text);
// "90s", "15min", "2h", "1.5d": seconds.
absl::StatusOr<double> parse_duration(std::string_view text);

}  // namespace frugal::base
