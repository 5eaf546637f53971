#include "report/amortization.h"

#include <set>

#include "base/text.h"
#include "energy/derive.h"
#include "report/access.h"
#include "report/architectures.h"
#include "report/claim.h"
#include "report/models.h"

namespace frugal::report {
namespace {

using base::Json;
using energy::Figure;

// A number of the report as a figure in `unit`.
Figure figure_of(const Json& number, const char* unit) {
  Figure out{std::nullopt, unit, energy::Provenance::kAssumed,
             text_at(number, "reason", text_at(number, "help"))};
  if (any_at(number, "value").is_number()) out.value = number_at(number, "value");
  if (const auto provenance = energy::parse_provenance(text_at(number, "provenance", "measured"));
      provenance.ok())
    out.provenance = *provenance;
  if (auto range = energy::range_from_json(number, "range", "report"); range.ok())
    out.range = *range;
  for (const Json& mark : list_at(number, "marks")) {
    if (mark.is_string()) energy::add_mark(mark.get<std::string>(), &out.marks);
  }
  return out;
}

Json number_from(const Figure& figure) {
  Json out = {{"value", energy::json_or_null(figure.value)},
              {"unit", figure.unit},
              {"provenance", energy::to_text(figure.provenance)}};
  out[figure.value ? "help" : "reason"] = figure.basis;
  if (figure.range) out["range"] = energy::to_json(figure.range);
  if (!figure.marks.empty()) out["marks"] = figure.marks;
  return out;
}

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

Json row_of(const std::string& model, const Figure& one_off, const Figure& before,
            const Figure& after) {
  const energy::BreakEven even = energy::break_even(one_off, before, after, std::nullopt);
  Figure saved = energy::sum(before, after);  // marks of both; unknown, with why, where one is
  saved.range = std::nullopt;                 // both move together: see energy::Figure::range
  if (saved.value) {
    saved.value = *before.value - *after.value;
    saved.basis = "joules of a million tokens, baseline less model";
  }
  Figure tokens{even.units,
                "million tokens",
                energy::weakest(one_off.provenance, saved.provenance),
                even.units ? "energy of the steps by what a million tokens save" : even.reason,
                std::nullopt,
                even.marks};
  return {{"model", model},
          {"one_off", number_from(one_off)},
          {"saved", number_from(saved)},
          {"tokens", number_from(tokens)}};
}

}  // namespace

Json amortization_figure(const JournalView& journal, const Json& models, const Json& architectures,
                         std::string_view baseline) {
  const Json* teacher = find_model(models, baseline);
  if (teacher == nullptr) return nullptr;
  const Json* before = architecture_number(architectures, *teacher, kEnergy);
  if (before == nullptr) return nullptr;
  Json rows = Json::array();
  int64_t paid = 0;
  for (const Json& model : models) {
    const std::string name = text_at(model, "name");
    const Json* after = architecture_number(architectures, model, kEnergy);
    if (after == nullptr || !of_other_architecture(model, *teacher)) continue;
    std::set<std::string> seen;
    const auto one_off = spent_on(journal, name, baseline, &seen);
    if (!one_off) continue;
    rows.push_back(row_of(name, *one_off, figure_of(*before, "J"), figure_of(*after, "J")));
    if (!rows.back()["tokens"]["value"].is_null()) ++paid;
  }
  if (rows.empty()) return nullptr;
  const auto count = static_cast<int64_t>(rows.size());
  return {{"finding", paid == 0 ? "No model of another architecture pays its making back"
                                : base::str_cat(paid, " of ", count,
                                                " models of another architecture pay their making "
                                                "back")},
          {"description",
           base::str_cat("The energy of the steps that led from ", baseline,
                         " to each model, against what a million tokens save in the runtime that "
                         "was metered. Enter your load for the days.")},
          {"rows", rows}};
}

}  // namespace frugal::report
