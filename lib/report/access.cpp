#include "report/access.h"

namespace frugal::report {

using base::Json;

Json any_at(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(std::string(key));
  return found == object.end() ? Json() : *found;
}

std::string text_at(const Json& object, std::string_view key, std::string_view fallback) {
  const Json value = any_at(object, key);
  return value.is_string() ? value.get<std::string>() : std::string(fallback);
}

double number_at(const Json& object, std::string_view key, double fallback) {
  const Json value = any_at(object, key);
  return value.is_number() ? value.get<double>() : fallback;
}

int64_t integer_at(const Json& object, std::string_view key) {
  const Json value = any_at(object, key);
  return value.is_number_integer() ? value.get<int64_t>() : 0;
}

bool flag_at(const Json& object, std::string_view key, bool fallback) {
  const Json value = any_at(object, key);
  return value.is_boolean() ? value.get<bool>() : fallback;
}

Json list_at(const Json& object, std::string_view key) {
  const Json value = any_at(object, key);
  return value.is_array() ? value : Json::array();
}

Json object_at(const Json& object, std::string_view key) {
  const Json value = any_at(object, key);
  return value.is_object() ? value : Json::object();
}

}  // namespace frugal::report
