#include "report/esrs.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/text.h"
#include "base/units.h"
#include "energy/derive.h"
#include "energy/window.h"
#include "report/access.h"
#include "report/claim.h"
#include "report/markup.h"
#include "report/models.h"
#include "report/throughput.h"

namespace frugal::report {
namespace {

using base::Json;
using base::str_cat;
using energy::Figure;

constexpr const char* kFields[] = {"disclosure", "paragraph", "datapoint", "unit",
                                   "value",      "low",       "high",      "estimated_share",
                                   "method",     "source",    "reason"};

energy::Intensity intensity_of(const Json& from) {
  return {.grams_per_kwh = number_at(from, "grams_per_kwh"),
          .kind = text_at(from, "kind"),
          .year = integer_at(from, "year"),
          .source = text_at(from, "source")};
}

// The site as the journal has it; absent without one, or where its grid or overhead is unknown.
std::optional<energy::Site> site_of(const JournalView& journal) {
  const Json from = any_at(journal.run_start, "site");
  const Json pue = object_at(from, "pue"), market = object_at(from, "market_intensity");
  const Json water = object_at(from, "water"), hardware = object_at(from, "hardware");
  if (!any_at(object_at(from, "intensity"), "grams_per_kwh").is_number() ||
      !any_at(pue, "value").is_number())
    return std::nullopt;
  energy::Site site;
  site.name = text_at(from, "name");
  site.intensity = intensity_of(object_at(from, "intensity"));
  if (!market.empty()) site.market_intensity = intensity_of(market);
  site.pue = {number_at(pue, "value"), integer_at(pue, "year"), text_at(pue, "source")};
  if (!water.empty())
    site.water = {number_at(water, "liters_per_kwh"), integer_at(water, "year"),
                  text_at(water, "source")};
  if (!hardware.empty()) {
    energy::HardwareProfile profile;
    profile.name = text_at(hardware, "name");
    profile.source = text_at(hardware, "source");
    profile.year = integer_at(hardware, "year");
    if (auto range = energy::range_from_json(hardware, "embodied_kg_co2e", "site"); range.ok())
      profile.embodied_kg_co2e = *range;
    if (any_at(hardware, "lifetime_years").is_number())
      profile.lifetime_years = number_at(hardware, "lifetime_years");
    site.hardware = profile;
  }
  return site;
}

// What this run consumed: its own steps and idle windows, none that came from the cache.
struct Consumption {
  Figure joules{std::nullopt, "J", energy::Provenance::kMeasured, "no step of the run was metered"};
  double seconds = 0, metered = 0, whole = 0;  // J
  int64_t steps = 0, cached = 0;
  std::vector<std::string> unknown;  // steps
  std::set<std::string> scopes;      // of the meters
};
Consumption consumption_of(const JournalView& journal) {
  Consumption out;
  const auto add = [&](const Json& window, const std::string& name) {
    const auto read = energy::window_from_json(window, name);
    const Figure total = read.ok() ? read->total_joules() : Figure{};
    if (!total.value) {
      out.unknown.push_back(name);
      return;
    }
    out.joules = out.steps++ == 0 ? total : energy::sum(out.joules, total);
    out.scopes.insert(total.basis);
    out.seconds += read->seconds;
    for (const energy::MeterWindow& meter : read->meters) {
      if (!meter.info.in_total || !meter.joules) continue;
      out.whole += *meter.joules;
      if (meter.info.provenance == energy::Provenance::kMeasured) out.metered += *meter.joules;
    }
  };
  for (const Json& idle : journal.idle) add(any_at(idle, "energy"), "idle");
  for (const Json& step : journal.steps) {
    if (flag_at(step, "cached", false))
      ++out.cached;
    else
      add(any_at(step, "energy"), step_name(step));
  }
  if (out.joules.value)
    out.joules.basis = base::join(std::vector(out.scopes.begin(), out.scopes.end()), "; ");
  if (!out.unknown.empty()) {
    out.joules = {std::nullopt, "J", energy::Provenance::kAssumed,
                  str_cat("energy is unknown of: ", base::join(out.unknown, ", "))};
  }
  return out;
}

class EsrsTable {
 public:
  explicit EsrsTable(const JournalView& journal)
      : journal_(journal), site_(site_of(journal)), used_(consumption_of(journal)) {}

  Json make() {
    energy_rows();
    emission_rows();
    intensity_rows();
    return {
        {"schema", 1},
        {"standard",
         "ESRS E1, Annex I of Commission Delegated Regulation (EU) 2023/2772; paragraphs as "
         "there"},
        {"run", text_at(journal_.run_start, "name")},
        {"boundary", str_cat("electricity of the computers that the run metered (", used_.steps,
                             " windows), with the site's overhead; ", used_.cached,
                             " steps came from the cache and consumed theirs in an earlier run")},
        {"rows", rows_}};
  }

 private:
  void add(const char* disclosure, const char* paragraph, const std::string& datapoint,
           const char* unit, const Figure& figure, double factor, const std::string& method) {
    const Figure scaled = energy::scaled(figure, factor, unit);
    const bool known = scaled.value || scaled.range;
    Json row = {{"disclosure", disclosure},
                {"paragraph", paragraph},
                {"datapoint", datapoint},
                {"unit", unit},
                {"value", energy::json_or_null(scaled.value)},
                {"low", scaled.range ? Json(scaled.range->low) : Json()},
                {"high", scaled.range ? Json(scaled.range->high) : Json()},
                {"estimated_share",
                 known && used_.whole > 0 ? Json(1 - used_.metered / used_.whole) : Json()},
                {"method", known ? method : ""},
                {"source", known ? figure.basis : ""},
                {"reason", known ? "" : figure.basis}};
    rows_.push_back(std::move(row));
  }
  void blank(const char* disclosure, const char* paragraph, const std::string& datapoint,
             const char* unit, const std::string& why) {
    add(disclosure, paragraph, datapoint, unit,
        {std::nullopt, unit, energy::Provenance::kAssumed, why}, 1, "");
  }

  static std::string no_site() {
    return "the run has no `report: site:` with an intensity and a PUE";
  }

  void energy_rows() {
    constexpr double kJoulesPerMegawattHour = 1e3 * base::kJoulesPerKilowattHour;
    add("E1-5", "37", "Electricity consumed by the computing, without overhead", "MWh",
        used_.joules, 1 / kJoulesPerMegawattHour, "windows over counters, gross");
    Figure total = used_.joules;
    if (site_ && total.value)
      total.basis = str_cat(total.basis, "; PUE ", site_->pue.value, " (", site_->pue.source, ", ",
                            site_->pue.year, ")");
    if (!site_) total = {std::nullopt, "J", energy::Provenance::kAssumed, no_site()};
    add("E1-5", "37", "Total energy consumption", "MWh", total,
        (site_ ? site_->pue.value : 1) / kJoulesPerMegawattHour, "electricity × PUE");
    const std::string mix = "a site file has the grid's intensity and not what it is made of";
    blank("E1-5", "37(a)", "of it from fossil sources", "MWh", mix);
    blank("E1-5", "37(b)", "of it from nuclear sources", "MWh", mix);
    blank("E1-5", "37(c)", "of it from renewable sources", "MWh", mix);
    blank("E1-5", "40", "Energy intensity per net revenue", "MWh per unit of money",
          "net revenue is the undertaking's to say");
  }

  void emission_rows() {
    constexpr double kGramsPerTonne = 1e6;
    blank("E1-6", "48", "Gross Scope 1 emissions", "tCO2e",
          "no fuel is metered: generators and refrigerants of the site are not in a run");
    const energy::Footprint all =
        site_ ? energy::footprint({.energy = used_.joules, .seconds = used_.seconds}, *site_)
              : energy::Footprint{};
    const auto scope = [&](const char* paragraph, const char* datapoint, const Figure& figure,
                           const char* method) {
      if (site_)
        add("E1-6", paragraph, datapoint, "tCO2e", figure, 1 / kGramsPerTonne, method);
      else
        blank("E1-6", paragraph, datapoint, "tCO2e", no_site());
    };
    scope("49(a)", "Gross Scope 2 emissions, location-based", all.location_grams,
          "electricity × PUE × intensity of the grid");
    scope("49(b)", "Gross Scope 2 emissions, market-based", all.market_grams,
          "electricity × PUE × intensity of the contract");
    scope("51", "Scope 3, category 2 (capital goods): hardware, its share by time",
          all.embodied_grams, "embodied carbon × time of the run ÷ lifetime");
    blank("E1-6", "51", "Scope 3, category 3 (fuel and energy not in Scopes 1 and 2)", "tCO2e",
          "a site file has no upstream and grid-loss factors");
    blank("E1-6", "51", "Scope 3, category 11 (use of sold products): the served model", "tCO2e",
          "how many tokens users will ask for is not known; see the intensities below");
    blank("E1-6", "52", "Total emissions, location-based", "tCO2e",
          "Scopes 1 and 3 are known in part only");
    blank("E1-6", "52", "Total emissions, market-based", "tCO2e",
          "Scopes 1 and 3 are known in part only");
    blank("E1-6", "53", "Emissions intensity per net revenue", "tCO2e per unit of money",
          "net revenue is the undertaking's to say");
  }

  // Per functional unit: a million generated tokens of each model that was served.
  void intensity_rows() {
    const Json models = collect_models(journal_, baseline_of(journal_));
    for (const Throughput& served : collect_throughput(journal_, models)) {
      const std::string what = str_cat(served.name, " in ", served.engine, ", ", served.workload);
      Figure joules{std::nullopt, "J", energy::Provenance::kAssumed,
                    text_at(served.joules, "reason", text_at(served.joules, "help"))};
      if (any_at(served.joules, "value").is_number())
        joules.value = number_at(served.joules, "value");
      if (auto range = energy::range_from_json(served.joules, "range", "report"); range.ok())
        joules.range = *range;
      add("entity-specific", "", str_cat("Energy of a million generated tokens: ", what), "kWh",
          joules, 1 / base::kJoulesPerKilowattHour, "measured windows of requests");
      if (!site_) continue;
      const double speed = number_at(served.tokens_per_second, "value");
      const energy::Footprint each = energy::footprint({.energy = joules,
                                                        .seconds = speed > 0 ? 1e6 / speed : 0,
                                                        .units = 1,
                                                        .unit = "1M tokens"},
                                                       *site_);
      add("entity-specific", "", str_cat("Scope 2 of a million tokens, location-based: ", what),
          "gCO2e", each.location_grams, 1, "energy × PUE × intensity of the grid");
      add("entity-specific", "", str_cat("Scope 2 of a million tokens, market-based: ", what),
          "gCO2e", each.market_grams, 1, "energy × PUE × intensity of the contract");
      if (speed > 0)
        add("entity-specific", "", str_cat("SCI of a million tokens: ", what), "gCO2e",
            each.sci_grams_per_unit, 1, "Software Carbon Intensity, (E · I + M) per R");
      else
        blank("entity-specific", "", str_cat("SCI of a million tokens: ", what), "gCO2e",
              "how long a million tokens take is unknown");
    }
  }

  const JournalView& journal_;
  const std::optional<energy::Site> site_;
  const Consumption used_;
  Json rows_ = Json::array();
};

}  // namespace

Json esrs_table(const JournalView& journal) { return EsrsTable(journal).make(); }

std::string esrs_csv(const Json& table) {
  std::string csv;
  for (const char* field : kFields) csv += str_cat(csv.empty() ? "" : ",", field);
  csv += "\n";
  for (const Json& row : table["rows"]) {
    std::string line;
    for (const char* field : kFields) {
      if (field != kFields[0]) line += ",";
      line += csv_field(any_at(row, field));
    }
    csv += line + "\n";
  }
  return csv;
}

}  // namespace frugal::report
