#include "report/energy_sum.h"

#include "report/access.h"

namespace frugal::report {

using base::Json;
using energy::Figure;

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

Json energy_sum(const Json& a, const Json& b) {
  Figure total = energy::sum(figure_of(a, "J"), figure_of(b, "J"));
  if (total.value) total.basis = "sum of its variants";
  return number_from(total);
}

}  // namespace frugal::report
