#include "energy/strict_yaml.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

namespace frugal::energy {

using base::str_cat;

struct StrictMap::Node {
  struct Entry {
    std::string key;
    std::string place;  // "line:column" of the key
    std::optional<std::string> scalar;
    std::shared_ptr<Node> map;
    bool used = false;
  };
  std::string place;
  std::vector<Entry> entries;

  Entry* find(std::string_view key) {
    for (Entry& entry : entries) {
      if (entry.key == key) return &entry;
    }
    return nullptr;
  }
};

struct StrictMap::Document {
  std::string where;
  std::vector<std::string> errors;
  std::vector<std::pair<std::shared_ptr<Node>, std::vector<std::string>>>
      asked;  // keys asked for, by mapping

  void complain(std::string_view place, std::string_view message) {
    errors.push_back(str_cat(where, ":", place, ": ", message));
  }
  std::vector<std::string>& asked_of(const std::shared_ptr<Node>& node) {
    for (auto& [known, keys] : asked) {
      if (known == node) return keys;
    }
    return asked.emplace_back(node, std::vector<std::string>()).second;
  }

  std::shared_ptr<Node> build(const YAML::Node& from) {
    auto node = std::make_shared<Node>();
    node->place = place_of(from.Mark());
    if (!from.IsMap()) {
      complain(node->place, "expected a mapping of keys to values");
      return node;
    }
    std::set<std::string> seen;
    for (const auto& pair : from) {
      const std::string place = place_of(pair.first.Mark());
      if (!pair.first.IsScalar()) {
        complain(place, "a key must be a plain word");
        continue;
      }
      if (!seen.insert(pair.first.Scalar()).second) {
        complain(place, str_cat("the key '", pair.first.Scalar(), "' stands twice"));
        continue;
      }
      Node::Entry entry{pair.first.Scalar(), place, std::nullopt, nullptr, false};
      if (pair.second.IsScalar()) entry.scalar = pair.second.Scalar();
      if (pair.second.IsMap()) entry.map = build(pair.second);
      node->entries.push_back(std::move(entry));
    }
    return node;
  }

  static std::string place_of(const YAML::Mark& mark) {
    return str_cat(std::max(mark.line, 0) + 1, ":",
                   std::max(mark.column, 0) + 1);  // -1: an empty file
  }
};

StrictMap::StrictMap(std::shared_ptr<Document> document, std::shared_ptr<Node> node)
    : document_(std::move(document)), node_(std::move(node)) {}

StrictMap StrictMap::parse(std::string_view text, std::string_view where) {
  auto document = std::make_shared<Document>();
  document->where = where;
  auto node = std::make_shared<Node>();
  node->place = "1:1";
  try {  // yaml-cpp speaks in exceptions; they end here
    node = document->build(YAML::Load(std::string(text)));
  } catch (const YAML::Exception& error) {
    document->complain(Document::place_of(error.mark), error.msg);
  }
  return StrictMap(std::move(document), std::move(node));
}

const std::string* StrictMap::scalar(std::string_view key, bool required) {
  document_->asked_of(node_).emplace_back(key);
  Node::Entry* entry = node_->find(key);
  if (entry == nullptr) {
    if (required) complain(str_cat("the key '", key, "' is missing"));
    return nullptr;
  }
  entry->used = true;
  if (!entry->scalar) document_->complain(entry->place, str_cat("'", key, "' must be one value"));
  return entry->scalar ? &*entry->scalar : nullptr;
}

std::string StrictMap::text(std::string_view key) {
  const std::string* value = scalar(key, true);
  if (value != nullptr && base::trim(*value).empty()) {
    document_->complain(node_->find(key)->place, str_cat("'", key, "' is empty"));
  }
  return value == nullptr ? "" : *value;
}

std::string StrictMap::text_or(std::string_view key, std::string_view fallback) {
  const std::string* value = scalar(key, false);
  return value == nullptr ? std::string(fallback) : *value;
}

std::optional<double> StrictMap::number_or_none(std::string_view key, double low, double high,
                                                const Slip& slip) {
  const std::string* value = scalar(key, false);
  if (value == nullptr) return std::nullopt;
  double number = 0;
  const char* end = value->data() + value->size();
  const auto [stop, error] = std::from_chars(value->data(), end, number);
  if (error != std::errc() || stop != end || !(number >= low && number <= high)) {
    const bool is_number = error == std::errc() && stop == end;
    const std::string meant = is_number && slip ? slip(number) : "";
    document_->complain(node_->find(key)->place,
                        str_cat("'", key, "' is '", *value, "', expected a number from ", low,
                                " to ", high, meant.empty() ? "" : "; ", meant));
    return std::nullopt;
  }
  return number;
}

double StrictMap::number(std::string_view key, double low, double high, const Slip& slip) {
  if (node_->find(key) == nullptr) {
    scalar(key, true);
    return low;
  }
  return number_or_none(key, low, high, slip).value_or(low);
}

std::optional<int64_t> StrictMap::integer_or_none(std::string_view key, int64_t low, int64_t high) {
  const auto number = number_or_none(key, static_cast<double>(low), static_cast<double>(high));
  if (!number) return std::nullopt;
  if (*number != std::floor(*number)) {
    document_->complain(node_->find(key)->place, str_cat("'", key, "' must be a whole number"));
    return std::nullopt;
  }
  return static_cast<int64_t>(*number);
}

int64_t StrictMap::integer(std::string_view key, int64_t low, int64_t high) {
  if (node_->find(key) == nullptr) {
    scalar(key, true);
    return low;
  }
  return integer_or_none(key, low, high).value_or(low);
}

std::string StrictMap::choice(std::string_view key, const std::vector<std::string>& choices) {
  const std::string* value = scalar(key, true);
  if (value == nullptr) return "";
  if (std::find(choices.begin(), choices.end(), *value) == choices.end()) {
    document_->complain(node_->find(key)->place, str_cat("'", key, "' is '", *value, "'",
                                                         base::suggestion(*value, choices)));
  }
  return *value;
}

std::optional<StrictMap> StrictMap::map_or_none(std::string_view key) {
  document_->asked_of(node_).emplace_back(key);
  Node::Entry* entry = node_->find(key);
  if (entry == nullptr) return std::nullopt;
  entry->used = true;
  if (entry->map == nullptr) {
    document_->complain(entry->place, str_cat("'", key, "' must be a mapping of keys to values"));
    return std::nullopt;
  }
  return StrictMap(document_, entry->map);
}

StrictMap StrictMap::map(std::string_view key) {
  const bool absent = node_->find(key) == nullptr;
  if (std::optional<StrictMap> found = map_or_none(key)) return *found;
  if (absent) complain(str_cat("the key '", key, "' is missing"));
  // Stands in for what is not there; what is asked of it goes to a document that nobody reads.
  auto nowhere = std::make_shared<Document>();
  return StrictMap(nowhere, std::make_shared<Node>());
}

std::vector<std::string> StrictMap::keys() const {
  std::vector<std::string> out;
  for (const Node::Entry& entry : node_->entries) out.push_back(entry.key);
  return out;
}

void StrictMap::complain_of(std::string_view key, std::string_view message) {
  const Node::Entry* entry = node_->find(key);
  document_->complain(entry == nullptr ? node_->place : entry->place, message);
}

void StrictMap::complain(std::string_view message) { document_->complain(node_->place, message); }

absl::Status StrictMap::finish() {
  const bool readable = !node_->entries.empty() || document_->errors.empty();
  std::vector<std::string> errors = document_->errors;
  // A file that could not be parsed lacks every key: saying so once is enough.
  if (!readable && !errors.empty()) errors.resize(1);
  for (const auto& [node, asked] : document_->asked) {
    for (const Node::Entry& entry : node->entries) {
      if (entry.used) continue;
      errors.push_back(str_cat(document_->where, ":", entry.place, ": unknown key '", entry.key,
                               "'", base::suggestion(entry.key, asked)));
    }
  }
  if (errors.empty()) return absl::OkStatus();
  return base::invalid_argument(base::join(errors, "\n"));
}

}  // namespace frugal::energy
