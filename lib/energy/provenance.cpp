#include "energy/provenance.h"

#include <algorithm>

namespace frugal::energy {

std::string_view to_text(Provenance provenance) {
  switch (provenance) {
    case Provenance::kMeasured:
      return "measured";
    case Provenance::kModelled:
      return "modelled";
    case Provenance::kAssumed:
      return "assumed";
  }
  return "assumed";
}

absl::StatusOr<Provenance> parse_provenance(std::string_view text) {
  for (const Provenance provenance :
       {Provenance::kMeasured, Provenance::kModelled, Provenance::kAssumed}) {
    if (to_text(provenance) == text) return provenance;
  }
  return base::invalid_argument("provenance '", text, "': expected measured, modelled or assumed");
}

Provenance weakest(Provenance a, Provenance b) { return std::max(a, b); }

base::Json json_or_null(const std::optional<double>& value) {
  return value ? base::finite_or_null(*value) : base::Json(nullptr);
}

base::Json to_json(const Figure& figure) {
  base::Json out = {{"value", json_or_null(figure.value)},
                    {"unit", figure.unit},
                    {"provenance", std::string(to_text(figure.provenance))},
                    {"basis", figure.basis},
                    {"range", to_json(figure.range)}};
  if (!figure.marks.empty()) out["marks"] = figure.marks;
  return out;
}

void add_mark(std::string_view mark, std::vector<std::string>* marks) {
  if (std::find(marks->begin(), marks->end(), mark) == marks->end()) marks->emplace_back(mark);
}

Figure scaled(const Figure& figure, double factor, std::string unit) {
  Figure out = figure;
  out.unit = std::move(unit);
  if (out.value) *out.value *= factor;
  if (out.range) out.range = scaled(*out.range, factor);
  return out;
}

Figure sum(const Figure& a, const Figure& b) {
  Figure out = a.value && !b.value ? b : a;  // the unknown one and its reason, if there is one
  out.provenance = weakest(a.provenance, b.provenance);
  out.marks = a.marks;
  for (const std::string& mark : b.marks) add_mark(mark, &out.marks);
  if (!a.value || !b.value) {
    out.range = std::nullopt;
    return out;
  }
  out.value = *a.value + *b.value;
  if (!b.basis.empty())
    out.basis = a.basis.empty() ? b.basis : base::str_cat(a.basis, " + ", b.basis);
  if (!a.range && !b.range) return out;
  const Range first = a.range.value_or(Range{*a.value, *a.value});
  const Range second = b.range.value_or(Range{*b.value, *b.value});
  out.range = Range{first.low + second.low, first.high + second.high};
  return out;
}

base::Json to_json(const std::optional<Range>& range) {
  if (!range) return nullptr;
  return {{"low", base::finite_or_null(range->low)}, {"high", base::finite_or_null(range->high)}};
}

absl::StatusOr<std::optional<Range>> range_from_json(const base::Json& json, std::string_view key,
                                                     std::string_view where) {
  const auto found = json.find(std::string(key));
  if (found == json.end() || found->is_null()) return std::optional<Range>();
  const std::string at = base::str_cat(where, ": '", key, "'");
  Range range;
  FRUGAL_ASSIGN_OR_RETURN(range.low, base::json_get<double>(*found, "low", at));
  FRUGAL_ASSIGN_OR_RETURN(range.high, base::json_get<double>(*found, "high", at));
  if (!(range.low <= range.high)) return base::data_loss(at, ": 'low' is above 'high'");
  return std::optional<Range>(range);
}

}  // namespace frugal::energy
