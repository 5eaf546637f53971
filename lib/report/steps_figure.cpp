// What each step cost: the variants of one together, each of them in the table behind.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/text.h"
#include "report/access.h"
#include "report/energy_sum.h"
#include "report/findings.h"
#include "report/models.h"

namespace frugal::report {
namespace {

using base::Json;
using base::str_cat;

struct Group {
  std::string id, pass;
  int64_t variants = 0, cached = 0;
  double seconds = 0;
  Json energy;
};

std::string group_title(const Group& group) {
  return group.variants == 1 ? group.id : str_cat(group.id, " (", group.variants, " variants)");
}

Json group_json(const Group& group) {
  return {{"step", group_title(group)}, {"id", group.id},         {"pass", group.pass},
          {"variants", group.variants}, {"cached", group.cached}, {"seconds", group.seconds},
          {"energy", group.energy}};
}

}  // namespace

Json steps_figure(const JournalView& journal) {
  std::vector<Group> groups;
  Json rows = Json::array();
  double total = 0;
  for (const Json& step : journal.steps) {
    const std::string id = text_at(step, "id");
    const double seconds = number_at(step, "seconds", 0);
    const bool cached = flag_at(step, "cached", false);
    const Json energy = energy_number(step);
    total += seconds;
    rows.push_back({{"step", step_name(step)},
                    {"pass", text_at(step, "pass")},
                    {"cached", cached},
                    {"seconds", seconds},
                    {"energy", energy},
                    {"peak_memory_bytes", any_at(step, "peak_memory_bytes")}});
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const Group& known) { return known.id == id; });
    if (group == groups.end()) {
      groups.push_back({.id = id, .pass = text_at(step, "pass"), .energy = energy});
      group = std::prev(groups.end());
    } else {
      group->energy = energy_sum(group->energy, energy);
    }
    ++group->variants;
    group->cached += cached ? 1 : 0;
    group->seconds += seconds;
  }
  if (groups.empty()) return nullptr;
  const auto longest = std::max_element(groups.begin(), groups.end(),
                                        [](auto& a, auto& b) { return a.seconds < b.seconds; });
  Json grouped = Json::array();
  for (const Group& group : groups) grouped.push_back(group_json(group));
  return {{"finding",
           absl::StrFormat("%s took %.0f%% of the %s that all steps took", group_title(*longest),
                           total > 0 ? 100 * longest->seconds / total : 0,
                           base::format_duration(total))},
          {"description",
           "Time and gross energy of each step, its variants together; pale bars come from the "
           "cache and show what the result once cost."},
          {"groups", grouped},
          {"rows", rows}};
}

}  // namespace frugal::report
