// Texts and lists of untrusted files, cut to what a person reads.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/json.h"

namespace frugal::format {

inline constexpr size_t kShownListLength = 8;

// Valid UTF-8 of at most about 400 bytes: bad bytes become \xNN, what is cut an ellipsis.
std::string printable(std::string_view text);

// `json` with long arrays as {"length", "first"} and long texts cut, at every depth.
base::Json shortened(const base::Json& json);

// The same for a plain list of numbers or texts.
template <typename T>
base::Json shortened_list(const std::vector<T>& values) {
  const auto element = [](const auto& value) -> base::Json {
    if constexpr (std::is_same_v<T, std::string>) {
      return printable(value);
    } else if constexpr (std::is_floating_point_v<T>) {
      return base::finite_or_null(value);
    } else {
      return static_cast<T>(value);
    }
  };
  base::Json list = base::Json::array();
  for (size_t i = 0; i < values.size() && i < kShownListLength; ++i)
    list.push_back(element(values[i]));
  if (values.size() <= kShownListLength) return list;
  return {{"length", values.size()}, {"first", std::move(list)}};
}

}  // namespace frugal::format
