#include "base/units.h"

#include <charconv>
#include <cmath>
#include <span>
#include <string>

namespace frugal::base {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

std::string names_of(std::span<const Unit> units) {
  std::string out;
  for (const Unit& unit : units) {
    if (unit.name.empty()) continue;
    out += str_cat(out.empty() ? "" : ", ", unit.name);
  }
  return out;
}

// A decimal number, optional white space and one of `units`; an empty unit name allows the bare
// number.
absl::StatusOr<double> parse_quantity(std::string_view text, std::string_view what,
                                      std::span<const Unit> units) {
  const std::string_view trimmed = trim(text);
  double number = 0;
  const auto [end, error] =
      std::from_chars(trimmed.data(), trimmed.data() + trimmed.size(), number);
  if (error != std::errc() || !std::isfinite(number)) {
    return invalid_argument("'", text, "' is not ", what,
                            ": expected a decimal number, then one of ", names_of(units));
  }
  if (std::signbit(number))
    return invalid_argument("'", text, "' is not ", what, ": it is negative");
  const std::string_view suffix = trim(trimmed.substr(static_cast<size_t>(end - trimmed.data())));
  for (const Unit& unit : units) {
    if (unit.name != suffix) continue;
    const double value = number * unit.factor;
    if (std::isfinite(value)) return value;
    return invalid_argument("'", text, "' is not ", what, ": it is too large");
  }
  return invalid_argument("'", text, "' is not ", what, ": expected one of ", names_of(units),
                          " behind the number, found '", suffix, "'");
}

}  // namespace

absl::StatusOr<double> parse_count(std::string_view text) {
  static constexpr Unit kUnits[] = {{"", 1}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}};
  return parse_quantity(text, "a count", kUnits);
}

absl::StatusOr<double> parse_bytes(std::string_view text) {
  static constexpr double kKi = 1024;
  static constexpr Unit kUnits[] = {{"", 1},
                                    {"B", 1},
                                    {"kB", 1e3},
                                    {"MB", 1e6},
                                    {"GB", 1e9},
                                    {"TB", 1e12},
                                    {"KiB", kKi},
                                    {"MiB", kKi * kKi},
                                    {"GiB", kKi * kKi * kKi},
                                    {"TiB", kKi * kKi * kKi * kKi}};
  return parse_quantity(text, "a size in bytes", kUnits);
}

absl::StatusOr<double> parse_duration(std::string_view text) {
  static constexpr Unit kUnits[] = {{"ms", 1e-3}, {"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}};
  return parse_quantity(text, "a duration", kUnits);
}

}  // namespace frugal::base
