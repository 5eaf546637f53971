#include "tasks/task_reader.h"

#include <algorithm>

namespace frugal::tasks {

using base::Json;

std::string TaskReader::text(const Json& map, std::string_view prefix, std::string_view key,
                             std::string fallback) {
  const Json& value = get(map, key);
  if (value.is_null()) return fallback;
  if (value.is_string()) return value.get<std::string>();
  complain(path(prefix, key), key, " is ", value.dump(), ", expected text",
           value.is_boolean() || value.is_number() ? "; quote it" : "");
  return fallback;
}

bool TaskReader::truth(const Json& map, std::string_view prefix, std::string_view key,
                       bool fallback) {
  const Json& value = get(map, key);
  if (value.is_null()) return fallback;
  if (value.is_boolean()) return value.get<bool>();
  complain(path(prefix, key), key, " is ", value.dump(), ", expected true or false");
  return fallback;
}

int64_t TaskReader::integer(const Json& map, std::string_view prefix, std::string_view key,
                            int64_t fallback, int64_t least, int64_t most) {
  const Json& value = get(map, key);
  if (value.is_null()) return fallback;
  if (value.is_number_integer() && value.get<int64_t>() >= least && value.get<int64_t>() <= most)
    return value.get<int64_t>();
  complain(path(prefix, key), key, " is ", value.dump(), ", expected a whole number from ", least,
           " to ", most);
  return fallback;
}

std::vector<std::string> TaskReader::texts(const Json& map, std::string_view prefix,
                                           std::string_view key) {
  const Json& value = get(map, key);
  std::vector<std::string> result;
  if (value.is_null()) return result;
  for (const Json& item : value.is_array() ? value : Json::array({value})) {
    if (item.is_string())
      result.push_back(item.get<std::string>());
    else
      complain(path(prefix, key), key, " holds ", item.dump(), ", expected texts");
  }
  return result;
}

Field TaskReader::field(const Json& map, std::string_view prefix, std::string_view key, bool number,
                        bool list) {
  const Json& value = get(map, key);
  if (value.is_null() || value.is_string()) return value;
  if (number && value.is_number_integer()) return value;
  if (list && value.is_structured()) {
    Json result = Json::array();
    for (const auto& [name, item] : value.items()) {
      if (!item.is_string())
        complain(path(prefix, key), key, " holds ", item.dump(),
                 ", expected texts; YAML 1.1 takes no, yes, on and off for truth values: quote "
                 "them");
      result.push_back(item);
    }
    return result;
  }
  complain(path(prefix, key), key, " is ", value.dump(), ", expected a column or a template",
           list ? ", or a list of texts" : "");
  return nullptr;
}

void TaskReader::only(const Json& map, std::string_view prefix,
                      const std::vector<std::string>& keys) {
  if (!map.is_object()) return;
  for (const auto& [key, value] : map.items()) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    complain(path(prefix, key), "'", key, "' is not read here", base::suggestion(key, keys));
  }
}

bool TaskReader::is_map(const Json& value, std::string_view at, std::string_view what) {
  if (value.is_object()) return true;
  complain(at, what, " is ", value.dump(), ", expected a mapping");
  return false;
}

}  // namespace frugal::tasks
