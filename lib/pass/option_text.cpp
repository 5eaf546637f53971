#include "pass/option_text.h"

#include <cmath>

#include "base/json.h"

namespace frugal::pass {

std::string number_text(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    return base::str_cat(static_cast<int64_t>(value));
  }
  return base::Json(value).dump();
}

std::string range_text(const OptionInfo& info) {
  const bool low = std::isfinite(info.minimum), high = std::isfinite(info.maximum);
  const std::string from = number_text(info.minimum), to = number_text(info.maximum);
  if (low && high) {
    return info.minimum_exclusive ? base::str_cat("above ", from, ", at most ", to)
                                  : base::str_cat(from, " to ", to);
  }
  if (low) return base::str_cat(info.minimum_exclusive ? "above " : "at least ", from);
  return high ? base::str_cat("at most ", to) : "";
}

std::string unit_hint(const OptionInfo& info) {
  if (info.unit.empty()) return "";
  if (info.unit == "bytes") return " of bytes, such as 4096 or 70GiB";
  if (info.unit == "seconds") return " of seconds, such as 90 or 2h";
  return base::str_cat(" of ", info.unit, ", such as 20000 or 20M");
}

}  // namespace frugal::pass
