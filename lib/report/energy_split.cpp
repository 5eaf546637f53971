// The joules of a response in its parts.
#include <algorithm>
#include <string>

#include "absl/strings/str_format.h"
#include "base/text.h"
#include "report/access.h"
#include "report/findings.h"
#include "report/models.h"

namespace frugal::report {
namespace {

using base::Json;

constexpr std::pair<const char*, const char*> kEnergyParts[] = {
    {"prefill", "prefill_joules_per_request"},
    {"decode", "decode_joules_per_request"},
    {"idle", "idle_joules_per_request"},
    {"request", "joules_per_request"}};

Json split_rows(const Json& metered, const char* name) {
  Json rows = Json::array();
  for (const Json& row : metered) {
    if (find_number(row, kEnergyParts[0].second) == nullptr ||
        find_number(row, kEnergyParts[1].second) == nullptr)
      continue;
    Json out = {{"name", row[name]}, {"of", text_at(row, "model")}};
    for (const auto& [part, metric] : kEnergyParts) out[part] = any_at(row["cells"], metric);
    rows.push_back(out);
  }
  return rows;
}

// The share of decoding where it is smallest and largest.
std::string split_finding(const Json& rows) {
  double low = 1, high = 0;
  for (const Json& row : rows) {
    const double decode = number_at(row["decode"], "value");
    const double both = decode + number_at(row["prefill"], "value");
    if (!(both > 0)) continue;
    low = std::min(low, decode / both);
    high = std::max(high, decode / both);
  }
  if (high < low) return "What the joules of a response go into";
  const std::string least = absl::StrFormat("%.0f", 100 * low);
  const std::string most = absl::StrFormat("%.0f", 100 * high);
  return base::str_cat("Generating takes ", least == most ? least : least + " to " + most,
                       "% of a response's joules, reading its prompt the rest");
}

}  // namespace

Json energy_split_figure(const Json& architectures, const Json& served) {
  Json rows = split_rows(served, "label");
  const bool of_served = !rows.empty();
  if (!of_served) rows = split_rows(architectures, "architecture");
  if (rows.empty()) return nullptr;
  return {{"finding", split_finding(rows)},
          {"description",
           base::str_cat("Gross joules of one response, ",
                         of_served ? "each artifact in its runtime"
                                   : "each architecture in frugal's own fp32 forward",
                         ": reading the prompt (prefill) and generating (decode); idle is the "
                         "part of both that the devices draw anyway, where a meter can tell.")},
          {"name_title", of_served ? "artifact" : "architecture"},
          {"rows", rows}};
}

}  // namespace frugal::report
