// Tested by: tests/chat/template_test.cpp
#include "chat/arguments.h"

#include <algorithm>

#include "chat/operations.h"

namespace frugal::chat {

absl::StatusOr<Bound> bind(const Arguments& arguments,
                           std::initializer_list<std::string_view> names, size_t required) {
  if (arguments.positional.size() > names.size())
    return base::invalid_argument("takes at most ", names.size(), " arguments, found ",
                                  arguments.positional.size());
  Bound bound(names.size(), nullptr);
  for (size_t i = 0; i < arguments.positional.size(); ++i) bound[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.keywords) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) return base::invalid_argument("has no argument '", name, "'");
    const Value*& place = bound[static_cast<size_t>(found - names.begin())];
    if (place != nullptr) return base::invalid_argument("has the argument '", name, "' twice");
    place = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (bound[i] == nullptr)
      return base::invalid_argument("lacks its argument '", *(names.begin() + i), "'");
  }
  return bound;
}

absl::StatusOr<int64_t> integer_or(const Value* value, int64_t fallback, std::string_view name) {
  if (value == nullptr) return fallback;
  if (const auto* integer = value->as<int64_t>()) return *integer;
  if (const auto* boolean = value->as<bool>()) return *boolean ? 1 : 0;
  return base::invalid_argument("needs an integer for '", name, "', found a ", type_name(*value));
}

absl::StatusOr<std::string_view> text_or(const Value* value, std::string_view fallback,
                                         std::string_view name) {
  if (value == nullptr) return fallback;
  if (value->is<Text>()) return value->text();
  return base::invalid_argument("needs a text for '", name, "', found a ", type_name(*value));
}

bool truth_or(const Value* value, bool fallback) {
  return value == nullptr ? fallback : is_true(*value);
}

}  // namespace frugal::chat
