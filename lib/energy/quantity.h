// Numbers that know their unit: energy, carbon, time, money, water and functional units cannot be
// confused, and a kilogram cannot be read as a gram, because a number goes in and comes out with
// its unit only:
//
//   const auto score = carbon(kilograms(130)) / tokens(1e9);
//   score.in(grams(1) / million_tokens(1))   // 130
//
// A sum of different kinds does not compile; a product or quotient has the kind it should.
#pragma once

#include "base/units.h"

namespace frugal::energy {

// Powers of joule, gram CO2e, second, unit of money, functional unit (token, request, parameter)
// and liter.
template <int J, int G, int S, int M, int U, int L>
class Quantity {
 public:
  constexpr Quantity() = default;
  // How many times `unit` it is: the only way to a plain number.
  constexpr double in(Quantity unit) const { return value_ / unit.value_; }

  constexpr Quantity operator+(Quantity other) const { return Quantity(value_ + other.value_); }
  constexpr Quantity operator-(Quantity other) const { return Quantity(value_ - other.value_); }
  constexpr Quantity operator*(double factor) const { return Quantity(value_ * factor); }
  constexpr Quantity operator/(double factor) const { return Quantity(value_ / factor); }
  constexpr auto operator<=>(const Quantity&) const = default;
  friend constexpr Quantity operator*(double factor, Quantity of) { return of * factor; }

  template <int J2, int G2, int S2, int M2, int U2, int L2>
  constexpr auto operator*(Quantity<J2, G2, S2, M2, U2, L2> other) const {
    return Quantity<J + J2, G + G2, S + S2, M + M2, U + U2, L + L2>(value_ * other.value_);
  }
  template <int J2, int G2, int S2, int M2, int U2, int L2>
  constexpr auto operator/(Quantity<J2, G2, S2, M2, U2, L2> other) const {
    return Quantity<J - J2, G - G2, S - S2, M - M2, U - U2, L - L2>(value_ / other.value_);
  }

  // Of the base units; for the makers below.
  static constexpr Quantity of(double value) { return Quantity(value); }

 private:
  template <int, int, int, int, int, int>
  friend class Quantity;
  explicit constexpr Quantity(double value) : value_(value) {}
  double value_ = 0;
};

using Energy = Quantity<1, 0, 0, 0, 0, 0>;
using Carbon = Quantity<0, 1, 0, 0, 0, 0>;  // CO2 equivalents
using Time = Quantity<0, 0, 1, 0, 0, 0>;
using Money = Quantity<0, 0, 0, 1, 0, 0>;  // of one currency
using Units = Quantity<0, 0, 0, 0, 1, 0>;  // functional units
using Water = Quantity<0, 0, 0, 0, 0, 1>;
using Power = decltype(Energy() / Time());
using CarbonIntensity = decltype(Carbon() / Energy());
using WaterIntensity = decltype(Water() / Energy());
using EnergyPrice = decltype(Money() / Energy());
using Throughput = decltype(Units() / Time());

constexpr Energy joules(double value) { return Energy::of(value); }
constexpr Energy kilowatt_hours(double value) {
  return joules(value * base::kJoulesPerKilowattHour);
}
constexpr Carbon grams(double value) { return Carbon::of(value); }
constexpr Carbon kilograms(double value) { return grams(value * 1e3); }
constexpr Carbon tonnes(double value) { return grams(value * 1e6); }
constexpr Time seconds(double value) { return Time::of(value); }
constexpr Time hours(double value) { return seconds(value * 3600); }
constexpr Time days(double value) { return hours(value * 24); }
// Of 8760 hours, as lifetimes of hardware are counted (Boavizta: 4 years are 35,040 h).
constexpr Time years(double value) { return hours(value * 8760); }
constexpr Money money(double value) { return Money::of(value); }
constexpr Units units(double value) { return Units::of(value); }
constexpr Units tokens(double value) { return units(value); }
constexpr Units million_tokens(double value) { return units(value * 1e6); }
constexpr Water liters(double value) { return Water::of(value); }
constexpr Power watts(double value) { return joules(value) / seconds(1); }
constexpr CarbonIntensity grams_per_kilowatt_hour(double value) {
  return grams(value) / kilowatt_hours(1);
}
constexpr WaterIntensity liters_per_kilowatt_hour(double value) {
  return liters(value) / kilowatt_hours(1);
}

}  // namespace frugal::energy
