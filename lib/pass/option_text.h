// Types and ranges of options in words. Internal to this room.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/text.h"
#include "pass/options.h"

namespace frugal::pass {

// "3" of 3.0, "0.25".
std::string number_text(double value);
// What a number may be: "0 to 1", "above 0", "".
std::string range_text(const OptionInfo& info);
// How a number with a unit is written: " of bytes, such as 4096 or 70GiB".
std::string unit_hint(const OptionInfo& info);

inline std::string type_text(bool) { return "true|false"; }
inline std::string type_text(int64_t) { return "integer"; }
inline std::string type_text(double) { return "number"; }
inline std::string type_text(const std::string&) { return "text"; }
inline std::string type_text(const ModelReference&) { return "model"; }
inline std::string type_text(const DataReference&) { return "data"; }
inline std::string type_text(const Assignments&) { return "pattern=value"; }
template <typename T>
std::string type_text(const std::vector<T>&) {
  return base::str_cat("list of ", type_text(T{}));
}
template <typename T>
std::string type_text(const std::optional<T>&) {
  return type_text(T{});
}

}  // namespace frugal::pass
