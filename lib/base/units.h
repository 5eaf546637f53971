// Quantities with their unit in the name, conversions in one place, and the parser for "20M",
// "70GiB", "2h".
#pragma once

#include <string_view>

#include "base/status.h"

namespace frugal::base {

inline constexpr double kJoulesPerKilowattHour = 3.6e6;

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
