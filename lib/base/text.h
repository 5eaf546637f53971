// Text helpers. Debian's absl::string_view and std::string_view do not convert to each other:
// signatures in this project use std::string_view, and these functions are the border.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace frugal::base {

inline absl::string_view as_absl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view as_std(absl::string_view text) { return {text.data(), text.size()}; }

namespace internal_text {
template <typename T>
decltype(auto) part(const T& value) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    return as_absl(value);
  } else {
    return (value);
  }
}
}  // namespace internal_text

// absl::StrCat that also takes std::string_view. Numbers print in their shortest form.
template <typename... Parts>
std::string str_cat(const Parts&... parts) {
  return absl::StrCat(internal_text::part(parts)...);
}

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
// Hash map with std::string keys, looked up by std::string_view.
template <typename Value>
using string_map = absl::flat_hash_map<std::string, Value, StringHash, std::equal_to<>>;

std::string join(std::span<const std::string> parts, std::string_view separator);
std::vector<std::string> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);  // ASCII white space
bool is_valid_utf8(std::string_view bytes);

// Glob with `*` (any run, also of dots and slashes) and `?`.
bool glob_match(std::string_view pattern, std::string_view text);

// The candidate with the smallest edit distance to `text`, if it is near enough to be a likely
// misspelling.
std::optional<std::string> nearest(std::string_view text, std::span<const std::string> candidates);
// "; did you mean 'x'?" or "; expected one of a, b, c" (at most 12 names).
std::string suggestion(std::string_view text, std::span<const std::string> candidates);

// "1.5 MiB", "2.3 GiB".
std::string format_bytes(double size_bytes);
// "0.8 s", "2 min 05 s", "3 h 10 min".
std::string format_duration(double seconds);
// 1234567 -> "1,234,567".
std::string format_count(int64_t count);

}  // namespace frugal::base
