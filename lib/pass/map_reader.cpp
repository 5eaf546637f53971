#include "pass/map_reader.h"

#include <algorithm>

namespace frugal::pass {

MapReader::MapReader(const Node& map, std::string what, const std::vector<std::string>& known,
                     Problems& problems)
    : map_(map), what_(std::move(what)), problems_(problems) {
  if (!map.is_map()) {
    problems.add(map.position, what_, " is ", describe(map),
                 ", expected a group of keys: ", base::join(known, ", "));
    return;
  }
  for (const Member& member : map.members) {
    if (std::find(known.begin(), known.end(), member.key) != known.end()) continue;
    problems.add(member.position, what_, " has no key '", member.key, "'",
                 base::suggestion(member.key, known));
  }
}

const Node* MapReader::get(std::string_view key) const {
  const Node* node = map_.find(key);
  if (node != nullptr && node->kind == Node::Kind::kNull) {
    problems_.add(node->position, "'", key, "' has no value");
    return nullptr;
  }
  return node;
}

const Node* MapReader::require(std::string_view key, std::string_view meaning) const {
  const Node* node = get(key);
  if (map_.is_map() && map_.find(key) == nullptr) {
    problems_.add(map_.position, what_, " needs the key '", key, "': ", meaning);
  }
  return node;
}

void MapReader::text(std::string_view key, std::string& out) const {
  const Node* node = get(key);
  if (node == nullptr) return;
  if (const auto value = as_text(*node)) {
    out = *value;
  } else {
    wrong(*node, key, "text; put it in quotes if it is");
  }
}

void MapReader::truth(std::string_view key, bool& out) const {
  const Node* node = get(key);
  if (node == nullptr) return;
  if (const auto value = as_bool(*node))
    out = *value;
  else
    wrong(*node, key, "true or false");
}

void MapReader::integer(std::string_view key, int64_t minimum, std::string_view unit,
                        int64_t& out) const {
  const Node* node = get(key);
  if (node == nullptr) return;
  const auto value = as_integer(*node, unit);
  if (value && *value >= minimum) {
    out = *value;
  } else {
    wrong(*node, key, base::str_cat("a whole number of at least ", minimum));
  }
}

void MapReader::choice(std::string_view key, const std::vector<std::string>& allowed,
                       std::string& out) const {
  const Node* node = get(key);
  if (node == nullptr) return;
  const auto value = as_text(*node);
  if (value && std::find(allowed.begin(), allowed.end(), *value) != allowed.end()) {
    out = *value;
  } else {
    wrong(*node, key, base::str_cat("one of ", base::join(allowed, ", ")));
  }
}

void MapReader::wrong(const Node& node, std::string_view key, std::string_view expected) const {
  problems_.add(node.position, "'", key, "' of ", what_, " is ", describe(node), ", expected ",
                expected);
}

Position MapReader::position_of(std::string_view key) const {
  const Node* node = map_.find(key);
  return node == nullptr ? map_.position : node->position;
}

}  // namespace frugal::pass
