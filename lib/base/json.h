// JSON from files that may be hostile: parsed with a size and depth bound, duplicate keys refused;
// and the one way in which we print it (keys in insertion order, numbers round-trip).
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/status.h"

namespace frugal::base {

// Keeps the order of keys. Looking one up searches from the front: walk a large object (a
// vocabulary) with items() instead of asking for each key, and build one through parse_json or an
// array.
using Json = nlohmann::ordered_json;

// Parses `text`; `where` names the source in errors. Errors: InvalidArgument with line, column and
// what was expected; duplicate keys; nesting deeper than 128.
absl::StatusOr<Json> parse_json(std::string_view text, std::string_view where);

// Reads and parses a file of at most `max_bytes`.
absl::StatusOr<Json> read_json(const std::filesystem::path& path,
                               int64_t max_bytes = int64_t{1} << 30);

// Typed access with an error that names `where` and the key. T: bool, int64_t, double, std::string,
// Json.
template <typename T>
absl::StatusOr<T> json_get(const Json& object, std::string_view key, std::string_view where);

// The value, `fallback` where the key is absent or null; an error where it has another type.
template <typename T>
absl::StatusOr<T> json_get_or(const Json& object, std::string_view key, T fallback,
                              std::string_view where);

// Numbers that are not finite become null: unknown is not zero.
Json finite_or_null(double value);

}  // namespace frugal::base
