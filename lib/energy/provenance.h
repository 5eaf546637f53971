// How a number was obtained, and numbers that carry it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace frugal::energy {

// kMeasured: read from a counter. kModelled: computed from other measurements by a model. kAssumed:
// taken from a table or a default. The order is that of trust; a sum is as good as its weakest
// part.
enum class Provenance { kMeasured, kModelled, kAssumed };

std::string_view to_text(Provenance provenance);  // "measured", "modelled", "assumed"
absl::StatusOr<Provenance> parse_provenance(std::string_view text);
Provenance weakest(Provenance a, Provenance b);

// A number with its unit and where it comes from. No value: unknown, and `basis` says why.
struct Figure {
  std::optional<double> value;
  std::string unit;
  Provenance provenance = Provenance::kAssumed;
  std::string basis;
};

// {"value": 1.5 or null, "unit": "J", "provenance": "measured", "basis": "…"}
base::Json to_json(const Figure& figure);

// The number, or null where it is unknown or not finite.
base::Json json_or_null(const std::optional<double>& value);

}  // namespace frugal::energy
