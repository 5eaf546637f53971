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
  return {{"value", json_or_null(figure.value)},
          {"unit", figure.unit},
          {"provenance", std::string(to_text(figure.provenance))},
          {"basis", figure.basis}};
}

}  // namespace frugal::energy
