// Arguments of filters, tests, methods and functions, bound to names as Python binds them.
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "chat/value.h"

namespace frugal::chat {

// The values of parameters, in their order; a null pointer where one is not given.
using Bound = std::vector<const Value*>;

// Errors: too many, unknown or twice given arguments; one of the first `required` missing.
absl::StatusOr<Bound> bind(const Arguments& arguments,
                           std::initializer_list<std::string_view> names, size_t required = 0);

// Errors: an argument of another type; they name it. bool is an integer, as in Python.
absl::StatusOr<int64_t> integer_or(const Value* value, int64_t fallback, std::string_view name);
absl::StatusOr<std::string_view> text_or(const Value* value, std::string_view fallback,
                                         std::string_view name);
bool truth_or(const Value* value, bool fallback);

}  // namespace frugal::chat
