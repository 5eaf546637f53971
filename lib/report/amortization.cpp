#include "report/amortization.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "energy/derive.h"
#include "report/access.h"
#include "report/architectures.h"
#include "report/claim.h"
#include "report/energy_sum.h"
#include "report/metered.h"
#include "report/models.h"
#include "report/served.h"

namespace frugal::report {
namespace {

using base::Json;
using energy::Figure;

const Json* step_of(const JournalView& journal, std::string_view model) {
  for (const Json& step : journal.steps) {
    if (text_at(step, "event") == "step_end" && step_name(step) == model) return &step;
  }
  return nullptr;
}

// The energy of every step between the baseline, or a model that was given, and this one.
std::optional<Figure> spent_on(const JournalView& journal, const std::string& model,
                               std::string_view baseline, std::set<std::string>* seen) {
  const Json* step = step_of(journal, model);
  if (model == baseline || step == nullptr || !seen->insert(model).second) return std::nullopt;
  Figure out = figure_of(energy_number(*step), "J");
  out.basis = out.value ? model : base::str_cat(model, ": ", out.basis);
  for (const Json& from : list_at(*step, "from")) {
    if (!from.is_string()) continue;
    const auto before = spent_on(journal, from.get<std::string>(), baseline, seen);
    if (before) out = energy::sum(*before, out);
  }
  return out;
}

// The farthest that both intervals allow, where both are known.
void bound_saving(const Json& before, const Json& after, Json& saved) {
  for (const Json* number : {&before, &after}) {
    if (!any_at(*number, "low").is_number() || !any_at(*number, "high").is_number()) return;
  }
  saved["low"] = number_at(before, "low") - number_at(after, "high");
  saved["high"] = number_at(before, "high") - number_at(after, "low");
  saved["confidence"] = number_at(before, "confidence", 0.95);
  saved["method"] = "the farthest that both intervals allow";
}

Json row_of(const std::string& model, const Figure& one_off, const Json& before_number,
            const Json& after_number) {
  const Figure before = figure_of(before_number, "J"), after = figure_of(after_number, "J");
  energy::BreakEven even = energy::break_even(one_off, before, after, std::nullopt);
  // What chance alone may have made is not paid back.
  if (even.units && told_apart(after_number, before_number, -1) == 0) {
    even.units = std::nullopt;
    even.reason = "the saving is not told apart from none";
  }
  Figure saved = energy::sum(before, after);  // marks of both; unknown, with why, where one is
  saved.range = std::nullopt;                 // both move together: see energy::Figure::range
  if (saved.value) {
    saved.value = *before.value - *after.value;
    saved.basis = "joules of a million tokens, baseline less model";
  }
  const Figure tokens{
      even.units,
      "million tokens",
      energy::weakest(one_off.provenance, saved.provenance),
      even.units ? "energy of the steps by what a million tokens save" : even.reason,
      std::nullopt,
      even.marks};
  Json saving = number_from(saved);
  bound_saving(before_number, after_number, saving);
  return {{"model", model},
          {"one_off", number_from(one_off)},
          {"saved", saving},
          {"tokens", number_from(tokens)}};
}

}  // namespace

Json amortization_figure(const JournalView& journal, const Json& models, const Json& architectures,
                         const Json& served, std::string_view baseline) {
  Json rows = Json::array();
  const auto add = [&](const Json& row, const std::string& model, std::string in,
                       const Json* before, const Json* after) {
    std::set<std::string> seen;
    if (before == nullptr || after == nullptr) return;
    const auto one_off = spent_on(journal, model, baseline, &seen);
    if (!one_off) return;
    rows.push_back(row_of(text_at(row, "label", model), *one_off, *before, *after));
    rows.back()["of"] = model;
    rows.back()["in"] = std::move(in);
  };
  for (const Json& row : served) {
    const Json* teacher = served_baseline(served, row);
    if (teacher == nullptr || text_at(row, "role") == "baseline") continue;
    add(row, text_at(row, "model"), text_at(row, "engine"), find_number(*teacher, kEnergy),
        find_number(row, kEnergy));
  }
  const Json* teacher = find_model(models, baseline);
  for (const Json& model : rows.empty() ? models : Json::array()) {
    if (teacher == nullptr || !of_other_architecture(model, *teacher)) continue;
    add(model, text_at(model, "name"), "frugal's fp32 forward",
        architecture_number(architectures, *teacher, kEnergy),
        architecture_number(architectures, model, kEnergy));
  }
  if (rows.empty()) return nullptr;
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t paid = std::count_if(
      rows.begin(), rows.end(), [](const Json& row) { return !row["tokens"]["value"].is_null(); });
  return {{"finding", paid == 0 ? "No model is shown to pay its making back"
                                : base::str_cat(paid, " of ", count,
                                                count == 1 ? " model pays" : " models pay",
                                                " back the energy of making it")},
          {"description",
           base::str_cat("The energy of the steps that led from ", baseline,
                         " to each model, against what a million tokens save in the runtime that "
                         "was metered. Enter your load for the days.")},
          {"rows", rows}};
}

std::optional<Figure> making_joules(const JournalView& journal, const std::string& model,
                                    std::string_view baseline) {
  // What led to the baseline would have been spent without the model, too.
  std::set<std::string> seen;
  spent_on(journal, std::string(baseline), "", &seen);
  return spent_on(journal, model, baseline, &seen);
}

}  // namespace frugal::report
