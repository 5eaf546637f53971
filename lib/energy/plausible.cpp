#include "energy/plausible.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace frugal::energy {

std::string likely_unit(double value, double low, double high,
                        std::initializer_list<OtherUnit> units) {
  for (const OtherUnit& unit : units) {
    const double meant = value * unit.factor;
    if (meant >= low && meant <= high) return base::str_cat(unit.name, "? Then it is ", meant);
  }
  return "";
}

PriceRange price_per_kwh(std::string_view currency) {
  constexpr std::array<std::string_view, 10> kStrong = {"EUR", "USD", "GBP", "CHF", "CAD",
                                                        "AUD", "NZD", "SGD", "KWD", "€"};
  const bool strong = std::find(kStrong.begin(), kStrong.end(), currency) != kStrong.end();
  return strong ? PriceRange{0.005, 2} : PriceRange{0.005, 1e5};
}

}  // namespace frugal::energy
