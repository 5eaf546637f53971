// Paired differences to the baseline, one drawing for each metric.
#include <algorithm>
#include <string>
#include <vector>

#include "base/text.h"
#include "report/access.h"
#include "report/claim.h"
#include "report/findings.h"
#include "report/metered.h"
#include "report/models.h"

namespace frugal::report {

using base::Json;
using base::str_cat;

Json collect_comparisons(const JournalView& journal) {
  Json rows = Json::array();
  for (const Json& step : journal.steps) {
    const Json from = list_at(step, "from");
    if (from.empty()) continue;
    for (Json row : list_at(object_at(step, "tables"), "comparison")) {
      row["model"] = from[0];
      row["engine"] = engine_of(step);
      row["served"] = is_served(step);
      row["source"] = step_name(step);
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

namespace {

bool differs(const Json& row) {
  return number_at(row, "low", -1) > 0 || number_at(row, "high", 1) < 0;
}

// What a drawing needs of a row; the whole rows stand in the table.
Json drawn_row(const Json& row) {
  Json out = Json::object();
  for (const char* key :
       {"model", "reference", "difference", "low", "high", "n", "method", "verdict"})
    out[key] = any_at(row, key);
  return out;
}

Json group_of(const std::string& metric, const Json& comparisons, const Json* claim) {
  Json rows = Json::array(), served = Json::array();
  for (const Json& row : comparisons) {
    if (text_at(row, "metric") != metric || !any_at(row, "difference").is_number()) continue;
    rows.push_back(drawn_row(row));
    if (flag_at(row, "served", false)) served.push_back(drawn_row(row));
  }
  // The same weights in frugal's own forward stay in the table.
  if (!served.empty()) rows = served;
  const bool claimed = claim != nullptr && text_at(*claim, "metric") == metric &&
                       text_at(*claim, "kind", "absolute") == "absolute";
  return {{"metric", metric},
          {"unit", is_share(metric) ? "fraction" : ""},
          {"direction", better_direction(metric)},
          {"margin", claimed ? Json(number_at(*claim, "margin")) : Json()},
          {"differ", std::count_if(rows.begin(), rows.end(), differs)},
          {"rows", rows}};
}

}  // namespace

Json comparison_figure(const JournalView& journal, const Json& comparisons) {
  if (comparisons.empty()) return nullptr;
  const Json* claim = claim_of(journal);
  std::vector<std::string> metrics;
  if (claim != nullptr) metrics.push_back(text_at(*claim, "metric"));
  for (const Json& row : comparisons) {
    const std::string metric = text_at(row, "metric");
    if (std::find(metrics.begin(), metrics.end(), metric) == metrics.end())
      metrics.push_back(metric);
  }
  Json groups = Json::array();
  for (const std::string& metric : metrics) {
    Json group = group_of(metric, comparisons, claim);
    if (!group["rows"].empty()) groups.push_back(std::move(group));
  }
  if (groups.empty()) return nullptr;
  const auto count = static_cast<int64_t>(groups[0]["rows"].size());
  const auto different = groups[0]["differ"].get<int64_t>();
  const std::string metric = text_at(groups[0], "metric");
  const std::string baseline = text_at(groups[0]["rows"][0], "reference", baseline_of(journal));
  const std::string finding =
      different == 0
          ? str_cat("No model differs from ", baseline, " on ", metric, " beyond chance")
          : str_cat(different, " of ", count, count == 1 ? " model differs" : " models differ",
                    " from ", baseline, " on ", metric, " beyond chance");
  return {{"finding", finding},
          {"description",
           "Paired over the same items, with 95% intervals; one that reaches over the line of no "
           "difference is not told apart from the baseline. Flips are items that changed between "
           "right and wrong, and p is adjusted after Holm over the metrics of a model where it is "
           "known. The dashed line is the margin of the claim."},
          {"groups", groups},
          {"all", comparisons}};
}

}  // namespace frugal::report
