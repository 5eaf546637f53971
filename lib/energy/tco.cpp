#include "energy/tco.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "energy/quantity.h"

namespace frugal::energy {
namespace {

struct Input {
  const char* name;
  std::optional<Estimate> TcoInputs::* value;
  double least, most;  // what it may be, both included
  bool needed;
};

constexpr std::array kInputs = {
    Input{"hardware_price", &TcoInputs::hardware_price, 0, 1e12, true},
    Input{"lifetime_years", &TcoInputs::lifetime_years, 0.1, 50, true},
    Input{"interest_rate", &TcoInputs::interest_rate, 0, 1, true},
    Input{"fixed_per_year", &TcoInputs::fixed_per_year, 0, 1e12, false},
    Input{"utilization", &TcoInputs::utilization, 1e-6, 1, true},
    Input{"load_watts", &TcoInputs::load_watts, 0, 1e7, true},
    Input{"idle_watts", &TcoInputs::idle_watts, 0, 1e7, true},
    Input{"tokens_per_second", &TcoInputs::tokens_per_second, 1e-9, 1e12, true},
    Input{"pue", &TcoInputs::pue, 1, 4, true},
    Input{"price_per_kwh", &TcoInputs::price_per_kwh, 0, 1e5, true},
    Input{"one_off_cost", &TcoInputs::one_off_cost, 0, 1e12, false},
};

using Values = std::array<double, kInputs.size()>;  // in the order of kInputs; 0 where left out
enum Index {
  kPrice,
  kYears,
  kInterest,
  kFixed,
  kUse,
  kLoad,
  kIdle,
  kSpeed,
  kPue,
  kTariff,
  kOneOff
};

TcoParts cost_of(const Values& v) {
  const Units per_year = tokens(v[kSpeed]) / seconds(1) * years(1) * v[kUse];
  const double millions = per_year.in(million_tokens(1));
  const Power drawn = watts(v[kUse] * v[kLoad] + (1 - v[kUse]) * v[kIdle]) * v[kPue];
  const Money energy = drawn * years(1) * (money(v[kTariff]) / kilowatt_hours(1));
  TcoParts parts;
  parts.capital = v[kPrice] * capital_recovery_factor(v[kInterest], v[kYears]) / millions;
  parts.fixed = v[kFixed] / millions;
  parts.energy = energy.in(money(1)) / millions;
  parts.one_off = v[kOneOff] / (millions * v[kYears]);
  return parts;
}

bool possible(const Input& input, const Estimate& estimate) {
  return estimate.range.low >= input.least && estimate.range.high <= input.most &&
         estimate.range.low <= estimate.expected && estimate.expected <= estimate.range.high;
}

// Why the total cannot be said; empty where it can.
std::string why_unknown(const TcoInputs& inputs) {
  std::vector<std::string> missing;
  for (const Input& input : kInputs) {
    const std::optional<Estimate>& estimate = inputs.*input.value;
    if (!estimate && input.needed) missing.push_back(input.name);
    if (estimate && !possible(input, *estimate)) {
      return base::str_cat(input.name, " is ", estimate->expected, " [", estimate->range.low, ", ",
                           estimate->range.high, "], expected bounds around it within ",
                           input.least, " and ", input.most);
    }
  }
  return missing.empty() ? "" : base::str_cat("not known: ", base::join(missing, ", "));
}

base::Json to_json(const std::optional<TcoParts>& parts) {
  if (!parts) return nullptr;
  return {{"total", parts->total()},
          {"capital", parts->capital},
          {"fixed", parts->fixed},
          {"energy", parts->energy},
          {"one_off", parts->one_off}};
}

}  // namespace

double capital_recovery_factor(double interest_rate, double years) {
  if (interest_rate <= 0) return 1 / years;
  // r / (1 − (1 + r)^−n): the same, without the loss of digits at small rates.
  return interest_rate / -std::expm1(-years * std::log1p(interest_rate));
}

Tco total_cost(const TcoInputs& inputs) {
  Tco out;
  out.unknown = why_unknown(inputs);
  Values expected{};
  for (size_t i = 0; i < kInputs.size(); ++i) {
    const std::optional<Estimate>& estimate = inputs.*kInputs[i].value;
    if (!estimate && !kInputs[i].needed) out.left_out.push_back(kInputs[i].name);
    if (estimate) expected[i] = estimate->expected;
  }
  if (!out.unknown.empty()) return out;
  out.expected = cost_of(expected);
  Values favorable = expected, unfavorable = expected;
  for (size_t i = 0; i < kInputs.size(); ++i) {
    const std::optional<Estimate>& estimate = inputs.*kInputs[i].value;
    if (!estimate || estimate->range.low == estimate->range.high) continue;
    Values low = expected, high = expected;
    low[i] = estimate->range.low;
    high[i] = estimate->range.high;
    const double at_low = cost_of(low).total(), at_high = cost_of(high).total();
    out.sensitivity.push_back(
        {kInputs[i].name, std::min(at_low, at_high), std::max(at_low, at_high)});
    // The total falls or grows with each input whatever the others are, so that its ends are those
    // of the inputs.
    favorable[i] = at_low <= at_high ? low[i] : high[i];
    unfavorable[i] = at_low <= at_high ? high[i] : low[i];
  }
  std::stable_sort(
      out.sensitivity.begin(), out.sensitivity.end(),
      [](const Sensitivity& a, const Sensitivity& b) { return a.high - a.low > b.high - b.low; });
  out.favorable = cost_of(favorable);
  out.unfavorable = cost_of(unfavorable);
  return out;
}

base::Json to_json(const Tco& tco, const std::string& currency) {
  base::Json sensitivity = base::Json::array();
  for (const Sensitivity& bar : tco.sensitivity)
    sensitivity.push_back({{"input", bar.input}, {"low", bar.low}, {"high", bar.high}});
  return {{"unit", base::str_cat(currency, " per million tokens")},
          {"favorable", to_json(tco.favorable)},
          {"expected", to_json(tco.expected)},
          {"unfavorable", to_json(tco.unfavorable)},
          {"unknown", tco.unknown},
          {"left_out", tco.left_out},
          {"sensitivity", std::move(sensitivity)}};
}

}  // namespace frugal::energy
