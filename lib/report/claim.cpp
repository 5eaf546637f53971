#include "report/claim.h"

#include "base/text.h"
#include "report/access.h"

namespace frugal::report {

using base::Json;

bool is_share(std::string_view metric) {
  return base::glob_match("*/accuracy", metric) || base::glob_match("*/coverage", metric) ||
         base::glob_match("*/macro_f1", metric) || base::glob_match("*/acc", metric) ||
         base::glob_match("*/acc_norm", metric) || base::glob_match("*/exact_match*", metric) ||
         metric == "kld/same_top";
}

const Json* claim_of(const JournalView& journal) {
  const auto report = journal.run_start.find("report");
  if (report == journal.run_start.end() || !report->is_object()) return nullptr;
  const auto claim = report->find("claim");
  return claim == report->end() || !claim->is_object() ? nullptr : &*claim;
}

std::string baseline_of(const JournalView& journal) {
  return text_at(object_at(journal.run_start, "report"), "baseline");
}

}  // namespace frugal::report
