// Total cost of a million tokens:
//
//   [ price · CRF + fixed + 8760 h · (u · P_load + (1 − u) · P_idle) · PUE · tariff ] / Mtok a year
//     + one-off cost / Mtok of a lifetime,      CRF = r (1 + r)^n / ((1 + r)^n − 1)
//
// (capital recovery factor of interest r over n years; u: utilization). Every input is an estimate
// with bounds, and the total is three scenarios, never one number. An input that is needed and not
// known makes the total unknown, not smaller.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "energy/range.h"

namespace frugal::energy {

struct Estimate {
  double expected = 0;
  Range range;         // holds `expected`; equal bounds where it is known
  std::string source;  // with the year
};

struct TcoInputs {
  std::string currency;
  std::optional<Estimate> hardware_price;     // of purchase, all of what serves
  std::optional<Estimate> lifetime_years;     // over which it is written off
  std::optional<Estimate> interest_rate;      // a year, 0.05 is 5%
  std::optional<Estimate> fixed_per_year;     // rent, people, licenses; absent: not included
  std::optional<Estimate> utilization;        // share of the time in which it serves, in (0, 1]
  std::optional<Estimate> load_watts;         // while it serves
  std::optional<Estimate> idle_watts;         // while it waits
  std::optional<Estimate> tokens_per_second;  // while it serves
  std::optional<Estimate> pue;
  std::optional<Estimate> price_per_kwh;
  std::optional<Estimate> one_off_cost;  // of compressing the model; absent: not included
};

// Of a million tokens, in the currency.
struct TcoParts {
  double capital = 0, fixed = 0, energy = 0, one_off = 0;
  double total() const { return capital + fixed + energy + one_off; }
};

// What one input alone makes of the expected total.
struct Sensitivity {
  std::string input;  // "tokens_per_second"
  double low = 0, high = 0;
};

struct Tco {
  std::optional<TcoParts> favorable, expected, unfavorable;
  std::string unknown;                   // why there is none: which inputs are missing
  std::vector<std::string> left_out;     // inputs that may be absent, and are
  std::vector<Sensitivity> sensitivity;  // widest first; inputs without doubt have none
};
// Errors are words in `unknown`: an input that is missing or impossible.
Tco total_cost(const TcoInputs& inputs);

// r (1 + r)^n / ((1 + r)^n − 1); 1 / n without interest.
double capital_recovery_factor(double interest_rate, double years);

base::Json to_json(const Tco& tco, const std::string& currency);

}  // namespace frugal::energy
