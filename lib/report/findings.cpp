#include "report/findings.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/text.h"
#include "energy/quantity.h"
#include "report/access.h"
#include "report/architectures.h"
#include "report/claim.h"
#include "report/models.h"

namespace frugal::report {

using base::Json;
using base::str_cat;

std::string in_words(double value, std::string_view unit) {
  if (unit == "fraction") return absl::StrFormat("%.1f%%", 100 * value);
  if (unit == "bytes") return base::format_bytes(value);
  if (unit == "seconds") return base::format_duration(value);
  if (unit == "count") return base::format_count(static_cast<int64_t>(value));
  return absl::StrFormat("%.4g", value);
}

Json collect_comparisons(const JournalView& journal) {
  Json rows = Json::array();
  for (const Json& step : journal.steps) {
    const auto tables = step.find("tables");
    if (tables == step.end() || !tables->is_object() || !tables->contains("comparison")) continue;
    for (Json row : (*tables)["comparison"]) {
      row["model"] = step["from"][0];
      row["source"] = step_name(step);
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

Json tradeoff_figure(const Json& models, std::string_view claimed_metric) {
  constexpr const char* x_key = "weight_bytes";
  std::string y_key(claimed_metric);
  for (const std::string_view fallback : {"sentiment/accuracy", "perplexity", "kld/mean"}) {
    const bool known = std::any_of(models.begin(), models.end(), [&](const Json& m) {
      return !y_key.empty() && find_number(m, y_key) != nullptr;
    });
    if (!known) y_key = fallback;
  }
  const int direction = better_direction(y_key);
  Json points = Json::array();
  for (const Json& model : models) {
    const Json* x = find_number(model, x_key);
    const Json* y = find_number(model, y_key);
    if (x == nullptr || y == nullptr) continue;
    points.push_back({{"model", model["name"]},
                      {"role", model["role"]},
                      {"x", *x},
                      {"y", *y},
                      {"dominated", false}});
  }
  if (points.empty()) return nullptr;
  for (Json& point : points) {
    for (const Json& other : points) {
      const double dx = other["x"]["value"].get<double>() - point["x"]["value"].get<double>();
      const double dy =
          direction * (other["y"]["value"].get<double>() - point["y"]["value"].get<double>());
      if (dx <= 0 && dy >= 0 && (dx < 0 || dy > 0)) point["dominated"] = true;
    }
  }
  double low = std::numeric_limits<double>::infinity(), high = 0;
  Json front = Json::array();
  for (const Json& point : points) {
    low = std::min(low, point["x"]["value"].get<double>());
    high = std::max(high, point["x"]["value"].get<double>());
    if (!point["dominated"].get<bool>()) front.push_back(point["model"]);
  }
  std::vector<std::string> names = front.get<std::vector<std::string>>();
  if (names.size() > 3) names.resize(3);
  const std::string finding =
      front.size() == 1
          ? str_cat(names[0], " beats every other model on both axes")
          : str_cat(static_cast<int64_t>(front.size()), " of ", static_cast<int64_t>(points.size()),
                    " models are worth choosing between: ", base::join(names, ", "),
                    front.size() > 3 ? " and others" : "");
  return {{"finding", finding},
          {"description",
           str_cat(y_key,
                   " against size; bars are 95% intervals, dominated models are pale, the dashed "
                   "line joins the rest.")},
          {"x", x_key},
          {"y", y_key},
          {"x_title", "bytes of the weights"},
          {"y_title", y_key},
          {"x_unit", "bytes"},
          {"y_unit", is_share(y_key) ? "fraction" : ""},
          {"x_log", low > 0 && high / low > 8},
          {"points", points}};
}

Json comparison_figure(const JournalView& journal, const Json& comparisons) {
  const Json* claim = claim_of(journal);
  if (comparisons.empty()) return nullptr;
  const std::string metric =
      claim != nullptr ? text_at(*claim, "metric") : text_at(comparisons[0], "metric");
  Json rows = Json::array();
  int64_t different = 0;
  for (const Json& row : comparisons) {
    if (text_at(row, "metric") != metric || !row.contains("difference") ||
        row["difference"].is_null())
      continue;
    rows.push_back(row);
    if (number_at(row, "low", -1) > 0 || number_at(row, "high", 1) < 0) ++different;
  }
  const std::string finding =
      str_cat(different, " of ", static_cast<int64_t>(rows.size()), " models differ from ",
              baseline_of(journal), " on ", metric, " beyond chance");
  return {{"finding", finding},
          {"description",
           "Paired over the same items, with intervals; left of the dashed line is worse than the "
           "claim allows."},
          {"metric", metric},
          {"unit", is_share(metric) ? "fraction" : ""},
          {"direction", better_direction(metric)},
          {"margin", claim != nullptr && text_at(*claim, "kind", "absolute") == "absolute"
                         ? Json(number_at(*claim, "margin"))
                         : Json()},
          {"rows", rows},
          {"all", comparisons}};
}

Json steps_figure(const JournalView& journal) {
  Json rows = Json::array();
  double total = 0, longest = -1;
  std::string slowest;
  for (const Json& step : journal.steps) {
    const double seconds = number_at(step, "seconds", 0);
    total += seconds;
    if (seconds > longest) {
      longest = seconds;
      slowest = step_name(step);
    }
    rows.push_back({{"step", step_name(step)},
                    {"pass", text_at(step, "pass")},
                    {"cached", flag_at(step, "cached", false)},
                    {"seconds", seconds},
                    {"energy", energy_number(step)},
                    {"peak_memory_bytes", any_at(step, "peak_memory_bytes")}});
  }
  if (rows.empty()) return nullptr;
  const double share = total > 0 ? longest / total : 0;
  return {{"finding", absl::StrFormat("%s took %.0f%% of the %s that all steps took", slowest,
                                      100 * share, base::format_duration(total))},
          {"description",
           "Time and gross energy of each step; pale bars come from the cache and show what the "
           "result once cost."},
          {"rows", rows}};
}

namespace {

// What making the hardware emitted, for each hour of its lifetime; null where the profile lacks
// one of the two.
Json embodied_grams_per_hour(const Json& hardware, const char* bound) {
  const Json kilograms = any_at(object_at(hardware, "embodied_kg_co2e"), bound);
  const Json years = any_at(hardware, "lifetime_years");
  if (!kilograms.is_number() || !years.is_number() || !(years.get<double>() > 0)) return nullptr;
  const energy::Carbon whole = energy::kilograms(kilograms.get<double>());
  return (whole / energy::years(years.get<double>())).in(energy::grams(1) / energy::hours(1));
}

}  // namespace

Json derived_figure(const JournalView& journal, const Json& architectures) {
  const auto site = journal.run_start.find("site");
  if (site == journal.run_start.end() || !site->is_object()) return nullptr;
  Json rows = Json::array();
  for (const Json& row : architectures) {
    const Json* joules = find_number(row, kEnergy);
    if (joules == nullptr) continue;
    const Json* speed = find_number(row, "tokens_per_second");
    rows.push_back({{"architecture", row["architecture"]},
                    {"joules", *joules},
                    {"tokens_per_second", speed == nullptr ? Json() : *speed}});
  }
  if (rows.empty()) return nullptr;
  const Json price = object_at(*site, "price");
  Json assumptions = Json::array();
  // An assumption that the site file does not make is null: the reader may make it, nobody else.
  const auto assume = [&](const std::string& key, std::string title, const Json& value,
                          const Json& of) {
    assumptions.push_back(
        {{"key", key},
         {"title", std::move(title)},
         {"value", value.is_number() ? value : Json()},
         {"source", value.is_number() ? str_cat(text_at(of, "source"), ", ", integer_at(of, "year"))
                                      : "not in the site file"}});
  };
  const Json intensity = object_at(*site, "intensity");
  const Json market = object_at(*site, "market_intensity");
  const Json pue = object_at(*site, "pue");
  const Json water = object_at(*site, "water");
  const Json hardware = object_at(*site, "hardware");
  assume("intensity", "grid, gCO2e/kWh", any_at(intensity, "grams_per_kwh"), intensity);
  assume("market", "contract, gCO2e/kWh", any_at(market, "grams_per_kwh"), market);
  assume("pue", "PUE", any_at(pue, "value"), pue);
  assume("water", "water on site, L/kWh", any_at(water, "liters_per_kwh"), water);
  for (const char* bound : {"low", "high"}) {
    assume(str_cat("embodied_", bound), str_cat("hardware, gCO2e/h (", bound, ")"),
           embodied_grams_per_hour(hardware, bound), hardware);
  }
  assume("price", str_cat("price per kWh, ", text_at(price, "currency", "any currency")),
         any_at(price, "per_kwh"), price);
  return {
      {"finding", str_cat("Carbon and cost of a million tokens at ",
                          text_at(*site, "name", "the assumed site"))},
      {"description",
       "Joules are of this run, of each architecture in frugal's own fp32 forward; what turns them "
       "into carbon, water and money are assumptions of the site file, and may be edited here. "
       "Location- and market-based emissions (scope 2) stand side by side; SCI is location-based "
       "and "
       "adds what making the hardware emitted (scope 3), shared out over its lifetime."},
      {"joules_title", "J per 1M tokens"},
      {"currency", text_at(price, "currency", "in the currency of the price")},
      {"assumptions", assumptions},
      {"rows", rows}};
}

}  // namespace frugal::report
