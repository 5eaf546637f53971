// Values that a field of this unit can have, and which other unit an impossible one is probably in.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace frugal::energy {

// A unit that is taken for the right one, and what a value in it has to be multiplied by.
struct OtherUnit {
  std::string_view name;
  double factor;
};

// "kilograms per kWh? Then it is 380": the first of `units` in which `value` lies in [low, high];
// empty where none is.
std::string likely_unit(double value, double low, double high,
                        std::initializer_list<OtherUnit> units);

// Prices of a kWh that occur, by ISO currency code: narrow for currencies whose unit is worth about
// a loaf of bread, wide for others.
struct PriceRange {
  double low, high;
};
PriceRange price_per_kwh(std::string_view currency);

}  // namespace frugal::energy
