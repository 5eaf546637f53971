// The curves of training, each drawing in one unit.
// Tested by: tests/report/findings_test.cpp
#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/text.h"
#include "report/access.h"
#include "report/findings.h"
#include "report/models.h"

namespace frugal::report {

using base::Json;
using base::str_cat;

namespace {

// Which tokens a loss is the mean over; "" where the step does not tell.
std::string trained_tokens(const Json& step) {
  const Json on_prompt = any_at(object_at(step, "options"), "loss_on_prompt");
  if (!on_prompt.is_boolean()) return "";
  return on_prompt.get<bool>() ? "all tokens" : "answers only";
}

}  // namespace

Json training_figure(const JournalView& journal) {
  Json curves = Json::array();
  for (const Json& step : journal.steps) {
    const auto tables = step.find("tables");
    if (tables == step.end() || !tables->is_object() || !tables->contains("training_curve"))
      continue;
    const Json& rows = (*tables)["training_curve"];
    const auto has = [&](const char* key) {
      return std::any_of(rows.begin(), rows.end(),
                         [&](const Json& row) { return any_at(row, key).is_number(); });
    };
    // Held-out loss is a cross-entropy. A distillation's loss is a mixture on another scale: beside
    // the held-out curve stands the cross-entropy in it; where it has none, the divergence to the
    // teacher has a drawing of its own.
    const bool distills = has("divergence"), apart = distills && !has("cross_entropy");
    const char* key = apart ? "divergence" : distills ? "cross_entropy" : "loss";
    curves.push_back({{"step", step_name(step)},
                      {"key", key},
                      {"title", apart ? "divergence to the teacher" : "cross-entropy"},
                      {"over", trained_tokens(step)},
                      {"held_out_apart", apart},
                      {"rows", rows}});
  }
  if (curves.empty()) return nullptr;
  std::vector<std::string> ends;
  for (const Json& curve : curves) {
    std::optional<double> last;
    for (const Json& row : curve["rows"]) {
      if (row.contains("validation_loss") && row["validation_loss"].is_number())
        last = row["validation_loss"].get<double>();
    }
    if (!last) continue;
    const std::string over = text_at(curve, "over");
    ends.push_back(absl::StrFormat("%.3f (%s%s)", *last, text_at(curve, "step"),
                                   over.empty() ? "" : ", " + over));
  }
  return {{"finding", ends.empty() ? "Training loss by step"
                                   : str_cat("Held-out loss ends at ", base::join(ends, ", "))},
          {"description",
           "Cross-entropy in nats per token, of training and held-out data in one unit; a mean "
           "over all "
           "tokens and one over answers only are no rivals. The mixture that a distillation "
           "descends on "
           "stands in the journal."},
          {"curves", curves}};
}

}  // namespace frugal::report
