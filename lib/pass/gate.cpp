// Tested by: tests/pass/runner_test.cpp
// The quality gate of a claim: whether enough compared models keep what the report promises.
#include "base/text.h"
#include "pass/runner.h"

namespace frugal::pass {
namespace {

// "" where the key is absent or null.
std::string text_of(const base::Json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

GateResult judge_gate(const Claim& claim, const std::vector<base::Json>& step_records) {
  if (claim.gate == "none") return {};
  int64_t compared = 0, met = 0;
  for (const base::Json& record : step_records) {
    const base::Json tables = record.value("tables", base::Json::object());
    for (const base::Json& row : tables.value("comparison", base::Json::array())) {
      // Rows without a verdict compare with something else than the baseline.
      if (text_of(row, "metric") != claim.metric || text_of(row, "verdict").empty()) continue;
      ++compared;
      if (text_of(row, "verdict") == "claimed") ++met;
    }
  }
  const bool good = claim.gate == "all" ? compared > 0 && met == compared : met > 0;
  if (good) return {};
  return {false,
          base::str_cat("the quality gate was not met: ", met, " of ", compared, " models keep ",
                        claim.metric, " within ", claim.margin, " of the baseline, expected ",
                        claim.gate == "all" ? "all" : "at least one")};
}

}  // namespace frugal::pass
