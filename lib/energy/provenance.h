// How a number was obtained, and numbers that carry it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "energy/range.h"

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
  // Where a model or a factor of it is known only within bounds: what `value` may be as well. Not
  // an interval of chance: all figures of one run that rest on it move together.
  std::optional<Range> range = {};
  // What makes it less sure, in a few fixed words (energy/window.h): "short window".
  std::vector<std::string> marks = {};
};

// Each mark stands once.
void add_mark(std::string_view mark, std::vector<std::string>* marks);

// The figure times a factor that is not negative, range and all, in another unit.
Figure scaled(const Figure& figure, double factor, std::string unit);
// The sum of two in one unit, as good as the weaker; unknown where one is, with its reason.
Figure sum(const Figure& a, const Figure& b);

// {"value": 1.5 or null, "unit": "J", "provenance": "measured", "basis": "…", "range": {"low",
// "high"} or null, "marks": ["…"] where there are any}
base::Json to_json(const Figure& figure);

// {"low": 1, "high": 2} or null.
base::Json to_json(const std::optional<Range>& range);
// Null and absent (records of earlier versions) are no range. Errors: bounds that are no numbers or
// are out of order.
absl::StatusOr<std::optional<Range>> range_from_json(const base::Json& json, std::string_view key,
                                                     std::string_view where);

// The number, or null where it is unknown or not finite.
base::Json json_or_null(const std::optional<double>& value);

}  // namespace frugal::energy
