#include "report/energy_boundary.h"

#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/text.h"
#include "report/access.h"
#include "report/models.h"

namespace frugal::report {
namespace {

using base::Json;
using base::str_cat;

Json meters_inside(const Json& boundary) {
  Json out = Json::array();
  for (const Json& meter : list_at(boundary, "inside")) {
    out.push_back(str_cat(text_at(meter, "scope"), " (", text_at(meter, "part"), ", ",
                          text_at(meter, "provenance"), ")"));
  }
  return out;
}

// Steps of one boundary stand together.
void add_boundary(const Json& boundary, const std::string& step, Json& boundaries) {
  Json one = {{"inside", meters_inside(boundary)}, {"outside", list_at(boundary, "outside")}};
  for (const char* key : {"functional_unit", "reference_flow", "software_boundary"})
    one[key] = text_at(boundary, key);
  for (Json& known : boundaries) {
    Json without = known;
    without.erase("steps");
    if (without.dump() != one.dump()) continue;
    known["steps"].push_back(step);
    return;
  }
  one["steps"] = Json::array({step});
  boundaries.push_back(std::move(one));
}

Json share_of(const Json& boundary, const Json& share, const std::string& step) {
  Json number = {{"value", share.is_number() ? share : Json()},
                 {"provenance", text_at(boundary, "provenance", "measured")},
                 {"marks", list_at(boundary, "marks")},
                 {"source", step}};
  if (!share.is_number()) number["reason"] = "no meter counts it, or a reading failed";
  return number;
}

Json shares_row(const Json& boundary, const std::string& step, const std::string& engine) {
  Json row = {{"source", step}, {"engine", engine}};
  const Json shares = object_at(boundary, "shares");
  for (const char* part : {"accelerator", "host", "whole_machine"})
    row[part] = share_of(boundary, any_at(shares, part), step);
  row["idle"] = share_of(boundary, any_at(boundary, "idle_share"), step);
  return row;
}

Json condition_of(const Json& row, const std::string& step) {
  Json told = Json::array();
  for (const auto& [key, span] : row.items()) {
    if (!span.is_object()) continue;
    told.push_back(
        absl::StrFormat("%s %.4g to %.4g", key, number_at(span, "low"), number_at(span, "high")));
  }
  return {{"source", step},
          {"meter", text_at(row, "meter")},
          {"told", told},
          {"not_told", list_at(row, "not_told")}};
}

}  // namespace

Json energy_boundary_figure(const JournalView& journal) {
  Json boundaries = Json::array(), rows = Json::array(), idle = Json::array(),
       conditions = Json::array();
  for (const Json& step : journal.steps) {
    const Json tables = object_at(step, "tables");
    const std::string name = step_name(step);
    const Json runtimes = list_at(tables, "runtime");
    const std::string engine = runtimes.empty() ? ""
                                                : str_cat(text_at(runtimes[0], "runtime"), " ",
                                                          text_at(runtimes[0], "version"));
    for (const Json& boundary : list_at(tables, "boundary")) {
      add_boundary(boundary, name, boundaries);
      rows.push_back(shares_row(boundary, name, engine));
    }
    for (const Json& row : list_at(tables, "idle")) {
      idle.push_back({{"source", name},
                      {"when", text_at(row, "when")},
                      {"meter", text_at(row, "meter")},
                      {"watts",
                       {{"value", any_at(row, "watts")},
                        {"provenance", text_at(row, "provenance", "measured")},
                        {"reason", text_at(row, "reason")}}}});
    }
    for (const Json& row : list_at(tables, "conditions"))
      conditions.push_back(condition_of(row, name));
  }
  if (boundaries.empty()) return nullptr;
  std::vector<std::string> inside;
  for (const Json& meter : boundaries[0]["inside"]) inside.push_back(meter.get<std::string>());
  return {
      {"finding", inside.empty() ? std::string("No meter tells the joules of inference")
                                 : str_cat("The joules are of ", base::join(inside, " and "))},
      {"description",
       "The boundary as ITU-T L.1801 and SCI for AI ask for it: what one functional unit is, what "
       "is inside, what is not, and which part took which share of the gross energy. Overhead of "
       "the building (PUE) comes in where carbon and cost are computed."},
      {"boundaries", boundaries},
      {"rows", rows},
      {"idle", idle},
      {"conditions", conditions}};
}

}  // namespace frugal::report
