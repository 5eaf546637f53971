#include "report/tco_figure.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/text.h"
#include "base/units.h"
#include "energy/derive.h"
#include "energy/tco.h"
#include "energy/window.h"
#include "report/access.h"
#include "report/amortization.h"
#include "report/models.h"
#include "report/throughput.h"

namespace frugal::report {
namespace {

using base::Json;
using base::str_cat;
using energy::Estimate;

// What an input is: its estimate, or why there is none.
struct Input {
  const char* key;
  const char* title;
  std::string unit;
  std::optional<Estimate> estimate;
  std::string source;  // or why it is unknown
  std::string provenance = "assumed";
  bool needed = true;
};

Input known(const char* key, const char* title, std::string unit, const Estimate& estimate,
            std::string provenance = "assumed") {
  return {key, title, std::move(unit), estimate, estimate.source, std::move(provenance)};
}
Input unknown(const char* key, const char* title, std::string unit, std::string why) {
  return {key, title, std::move(unit), std::nullopt, std::move(why)};
}

std::string cited(const Json& of) {
  return str_cat(text_at(of, "source"), ", ", integer_at(of, "year"));
}

Json json_of(const Input& input) {
  Json out = {{"key", input.key}, {"title", input.title}, {"unit", input.unit}};
  const auto& estimate = input.estimate;
  out["low"] = estimate ? Json(estimate->range.low) : Json();
  out["expected"] = estimate ? Json(estimate->expected) : Json();
  out["high"] = estimate ? Json(estimate->range.high) : Json();
  out["source"] = input.source;
  out["provenance"] = input.provenance;
  out["needed"] = input.needed;
  return out;
}

// A number of the report with the widest of its bounds.
Input of_number(const char* key, const char* title, std::string unit, const Json& number) {
  if (!any_at(number, "value").is_number())
    return unknown(key, title, std::move(unit), text_at(number, "reason", "unknown"));
  const double value = number_at(number, "value");
  const Json range = object_at(number, "range");
  energy::Range bounds{number_at(number, "low", value), number_at(number, "high", value)};
  bounds.low = std::min(bounds.low, number_at(range, "low", value));
  bounds.high = std::max(bounds.high, number_at(range, "high", value));
  return known(
      key, title, std::move(unit),
      {value, bounds, str_cat("step ", text_at(number, "source"), ": ", text_at(number, "help"))},
      text_at(number, "provenance", "measured"));
}

// The mean power of all that counts, in the idle windows of the run; else the profile's.
Input idle_watts(const JournalView& journal, const Json& hardware) {
  constexpr const char* kKey = "idle_watts";
  constexpr const char* kTitle = "power while it waits";
  std::vector<double> measured;
  for (const Json& idle : journal.idle) {
    const auto window = energy::window_from_json(any_at(idle, "energy"), "idle");
    if (!window.ok() || !window->total_joules().value || !(window->seconds > 0)) continue;
    measured.push_back(*window->total_joules().value / window->seconds);
  }
  if (!measured.empty()) {
    const auto [low, high] = std::minmax_element(measured.begin(), measured.end());
    double sum = 0;
    for (const double watts : measured) sum += watts;
    return known(
        kKey, kTitle, "W",
        {sum / static_cast<double>(measured.size()), {*low, *high}, "idle windows of the run"},
        "measured");
  }
  if (any_at(hardware, "idle_watts").is_number()) {
    const double watts = number_at(hardware, "idle_watts");
    return known(
        kKey, kTitle, "W",
        {watts, {watts, watts}, str_cat(text_at(hardware, "name"), ": ", cited(hardware))});
  }
  return unknown(kKey, kTitle, "W", "no idle window, and no hardware profile that says it");
}

Input hardware_price(const Json& hardware, const std::string& currency) {
  constexpr const char* kKey = "hardware_price";
  constexpr const char* kTitle = "price of the hardware";
  if (hardware.empty()) return unknown(kKey, kTitle, currency, "the site names no hardware");
  const Json price = object_at(hardware, "price");
  if (price.empty())
    return unknown(kKey, kTitle, currency,
                   str_cat("the profile of ", text_at(hardware, "name"), " has no price"));
  if (text_at(hardware, "currency") != currency)
    return unknown(kKey, kTitle, currency,
                   str_cat("the profile's price is in ", text_at(hardware, "currency"),
                           ", that of energy in ", currency, ": enter it in one currency"));
  const double low = number_at(price, "low"), high = number_at(price, "high");
  return known(
      kKey, kTitle, currency,
      {(low + high) / 2, {low, high}, str_cat(text_at(hardware, "name"), ": ", cited(hardware))});
}

Input point(const char* key, const char* title, std::string unit, const Json& value,
            const std::string& source, const std::string& why) {
  if (!value.is_number()) return unknown(key, title, std::move(unit), why);
  const double number = value.get<double>();
  return known(key, title, std::move(unit), {number, {number, number}, source});
}

// What is the same for all rows. Money in the currency of energy, else of the hardware.
struct Shared {
  std::string currency;
  std::vector<Input> inputs;
};
Shared shared_inputs(const JournalView& journal) {
  const Json site = object_at(journal.run_start, "site");
  const Json hardware = object_at(site, "hardware"), price = object_at(site, "price");
  const Json pue = object_at(site, "pue");
  Shared out;
  out.currency = text_at(price, "currency", text_at(hardware, "currency"));
  const std::string money = out.currency.empty() ? "money" : out.currency;
  const std::string no_site =
      site.empty() ? "the run has no `report: site:`" : "not in the site file";
  Input fixed = unknown("fixed_per_year", "rent, people, licenses a year", money,
                        "not included; enter yours");
  fixed.needed = false;
  out.inputs = {
      hardware_price(hardware, money),
      point("lifetime_years", "written off over", "years", any_at(hardware, "lifetime_years"),
            str_cat(text_at(hardware, "name"), ": ", cited(hardware)),
            hardware.empty() ? "the site names no hardware" : "not in the hardware's profile"),
      known("interest_rate", "interest a year", "share",
            {0.06, {0.03, 0.10}, "assumed by frugal, without a source: enter yours"}),
      known("utilization", "share of the time it serves", "share",
            {0.3, {0.1, 0.6}, "assumed by frugal, without a source: enter yours"}),
      std::move(fixed),
      idle_watts(journal, hardware),
      point("pue", "PUE", "", any_at(pue, "value"), cited(pue), no_site),
      point("price_per_kwh", "price of a kWh", money, any_at(price, "per_kwh"), cited(price),
            no_site)};
  return out;
}

// What the energy of the steps that led to the model cost; machine time and people are not in it.
Input one_off_cost(const JournalView& journal, const Throughput& row, std::string_view baseline,
                   const Shared& shared) {
  constexpr const char* kKey = "one_off_cost";
  constexpr const char* kTitle = "energy of making it, once";
  const auto joules = making_joules(journal, row.models[0], baseline);
  Input out = unknown(kKey, kTitle, shared.currency, "nothing was made of it in this run");
  out.needed = false;
  if (row.models.size() > 1) {
    out.source = "the row stands for several models, each with a making of its own";
    return out;
  }
  const auto estimate_of = [&](std::string_view key) -> const std::optional<Estimate>& {
    return std::find_if(shared.inputs.begin(), shared.inputs.end(),
                        [&](const Input& input) { return input.key == key; })
        ->estimate;
  };
  const auto &pue = estimate_of("pue"), &price = estimate_of("price_per_kwh");
  if (joules && !joules->value) out.source = joules->basis;
  if (joules && joules->value && (!pue || !price)) out.source = "price of a kWh or PUE unknown";
  if (joules && joules->value && pue && price) {
    const double each = pue->expected * price->expected / base::kJoulesPerKilowattHour;
    const energy::Range range =
        joules->range.value_or(energy::Range{*joules->value, *joules->value});
    out = known(
        kKey, kTitle, shared.currency,
        {*joules->value * each, scaled(range, each),
         str_cat("energy of the steps ", joules->basis, "; people and machine time not included")},
        std::string(energy::to_text(energy::derived_from_site(joules->provenance))));
  }
  out.needed = false;
  return out;
}

energy::Tco total_of(const std::string& currency, const std::vector<const Input*>& inputs) {
  energy::TcoInputs all;
  all.currency = currency;
  const std::pair<const char*, std::optional<Estimate> energy::TcoInputs::*> places[] = {
      {"hardware_price", &energy::TcoInputs::hardware_price},
      {"lifetime_years", &energy::TcoInputs::lifetime_years},
      {"interest_rate", &energy::TcoInputs::interest_rate},
      {"fixed_per_year", &energy::TcoInputs::fixed_per_year},
      {"utilization", &energy::TcoInputs::utilization},
      {"load_watts", &energy::TcoInputs::load_watts},
      {"idle_watts", &energy::TcoInputs::idle_watts},
      {"tokens_per_second", &energy::TcoInputs::tokens_per_second},
      {"pue", &energy::TcoInputs::pue},
      {"price_per_kwh", &energy::TcoInputs::price_per_kwh},
      {"one_off_cost", &energy::TcoInputs::one_off_cost}};
  for (const Input* input : inputs) {
    for (const auto& [key, place] : places) {
      if (std::string_view(key) == input->key) all.*place = input->estimate;
    }
  }
  return energy::total_cost(all);
}

struct TcoRow {
  const Throughput* served;
  Input speed, watts, one_off;
  energy::Tco tco;
  bool is_baseline = false;
};

// What the baseline, or an export of it, costs is what others are set off against.
bool is_baseline(const JournalView& journal, const Throughput& row, std::string_view baseline) {
  if (std::find(row.models.begin(), row.models.end(), baseline) != row.models.end()) return true;
  for (const Json& step : journal.steps) {
    const Json from = list_at(step, "from");
    if (text_at(step, "pass") == "export" && step_name(step) == row.models[0] && !from.empty() &&
        from[0].is_string() && from[0].get<std::string>() == baseline)
      return true;
  }
  return false;
}

// The baseline in the same engine at the same work; null without one, and for a baseline itself.
const TcoRow* reference_of(const std::vector<TcoRow>& rows, const TcoRow& row) {
  for (const TcoRow& other : rows) {
    if (other.is_baseline && !row.is_baseline && other.served->engine == row.served->engine &&
        other.served->workload == row.served->workload)
      return &other;
  }
  return nullptr;
}

// After how many million tokens the making is paid back by what each costs less.
Json break_even(const TcoRow& row, const TcoRow* baseline) {
  const auto no = [](const std::string& why) {
    return Json{{"million_tokens", nullptr}, {"reason", why}};
  };
  if (row.is_baseline) return no("it is the baseline");
  if (baseline == nullptr)
    return no(str_cat("the baseline was not served by ", row.served->engine, " with ",
                      row.served->workload));
  if (!row.one_off.estimate) return no(row.one_off.source);
  if (!row.tco.expected || !baseline->tco.expected) return no(row.tco.unknown);
  const auto running = [](const energy::TcoParts& parts) { return parts.total() - parts.one_off; };
  const double saved = running(*baseline->tco.expected) - running(*row.tco.expected);
  if (!(saved > 0)) return no("nothing is saved: never");
  return {{"million_tokens", row.one_off.estimate->expected / saved}, {"reason", ""}};
}

// Over all rows: scenarios of one hardly ever part from those of another.
std::string finding_of(const std::vector<TcoRow>& rows, const std::string& currency) {
  std::optional<energy::Range> range;
  for (const TcoRow& row : rows) {
    if (!row.tco.expected) continue;
    const double low = row.tco.favorable->total(), high = row.tco.unfavorable->total();
    range = range ? energy::Range{std::min(range->low, low), std::max(range->high, high)}
                  : energy::Range{low, high};
  }
  if (!range) return "What serving costs cannot be said yet";
  return absl::StrFormat("A million tokens cost %.3g to %.3g %s, hardware and energy counted",
                         range->low, range->high, currency);
}

Json row_json(const std::vector<TcoRow>& rows, const TcoRow& row, const std::string& currency) {
  const TcoRow* baseline = reference_of(rows, row);
  return {{"name", row.served->name},
          {"engine", row.served->engine},
          {"models", row.served->models},
          {"workload", row.served->workload},
          {"inputs", {json_of(row.speed), json_of(row.watts), json_of(row.one_off)}},
          {"role", row.is_baseline ? "baseline" : "student"},
          {"against", baseline == nullptr ? Json() : Json(baseline - rows.data())},
          {"tco", energy::to_json(row.tco, currency)},
          {"break_even", break_even(row, baseline)}};
}

}  // namespace

Json tco_figure(const JournalView& journal, const Json& models, std::string_view baseline) {
  const std::vector<Throughput> served = collect_throughput(journal, models);
  if (served.empty()) return nullptr;
  const Shared shared = shared_inputs(journal);
  const std::string currency = shared.currency.empty() ? "money" : shared.currency;
  std::vector<TcoRow> rows;
  for (const Throughput& each : served) {
    TcoRow row{&each,
               of_number("tokens_per_second", "generated tokens a second", "tokens/s",
                         each.tokens_per_second),
               of_number("load_watts", "power while it serves", "W", each.watts),
               one_off_cost(journal, each, baseline, shared),
               {},
               is_baseline(journal, each, baseline)};
    std::vector<const Input*> inputs = {&row.speed, &row.watts, &row.one_off};
    for (const Input& input : shared.inputs) inputs.push_back(&input);
    row.tco = total_of(currency, inputs);
    rows.push_back(std::move(row));
  }
  Json inputs = Json::array(), out = Json::array();
  for (const Input& input : shared.inputs) inputs.push_back(json_of(input));
  for (const TcoRow& row : rows) out.push_back(row_json(rows, row, currency));
  return {{"finding", finding_of(rows, currency)},
          {"description",
           "Hardware written off over its life, power while it serves and while it waits, and the "
           "energy of making the model, for each million generated tokens. Three scenarios: every "
           "input at its best, as expected, at its worst; the bars show what one input alone "
           "moves. Speed and watts are of this run; the rest are assumptions, and yours to edit. "
           "What is not known makes the total unknown, never smaller."},
          {"currency", currency},
          {"inputs", inputs},
          {"rows", out}};
}

}  // namespace frugal::report
