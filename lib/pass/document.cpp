#include "pass/document.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/units.h"

namespace frugal::pass {
namespace {

constexpr double kLargestExactInteger = 9007199254740992.0;  // 2^53

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? : YAML 1.2's numbers without the forms that
// surprise (010, 0x1F, .5, .inf).
bool is_number_text(std::string_view text) {
  size_t at = !text.empty() && text[0] == '-' ? 1 : 0;
  const size_t begin = at;
  const auto digits = [&] {
    const size_t from = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return at > from;
  };
  if (!digits()) return false;
  if (at - begin > 1 && text[begin] == '0') return false;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (!digits()) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (!digits()) return false;
  }
  return at == text.size();
}

// Whether a reader of YAML could take the unquoted text for a number: ours, or one of the forms
// that we refuse.
bool looks_like_number(std::string_view text) {
  if (is_number_text(text)) return true;
  if (text == ".inf" || text == "-.inf" || text == ".nan") return true;
  std::string_view body = text;
  if (!body.empty() && (body[0] == '-' || body[0] == '+')) body.remove_prefix(1);
  if (body.empty() || !(is_digit(body[0]) || body[0] == '.')) return false;
  if (body.starts_with("0x") || body.starts_with("0o")) return true;
  return std::all_of(body.begin(), body.end(),
                     [](char c) { return is_digit(c) || c == '.' || c == '_'; }) &&
         std::any_of(body.begin(), body.end(), is_digit);
}

std::optional<double> number_of(std::string_view text) {
  if (!is_number_text(text)) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

std::optional<double> quantity_of(std::string_view text, std::string_view unit) {
  if (unit.empty()) return std::nullopt;
  const absl::StatusOr<double> value = unit == "bytes"     ? base::parse_bytes(text)
                                       : unit == "seconds" ? base::parse_duration(text)
                                                           : base::parse_count(text);
  return value.ok() ? std::optional<double>(*value) : std::nullopt;
}

}  // namespace

void Problems::add_text(const Position& position, std::string text) {
  items_.push_back({position, std::move(text)});
}

std::string Problems::text() const {
  std::vector<Item> sorted = items_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Item& a, const Item& b) {
    return std::pair(a.position.line, a.position.column) <
           std::pair(b.position.line, b.position.column);
  });
  std::string out;
  for (const Item& item : sorted) {
    if (!out.empty()) out += "\n";
    std::string place = source_;
    if (!item.position.label.empty()) {
      place += base::str_cat(place.empty() ? "" : ": ", item.position.label);
    } else if (item.position.line > 0) {
      place += base::str_cat(":", item.position.line, ":", item.position.column);
    }
    out += base::str_cat(place, place.empty() ? "" : ": ", item.text);
  }
  return out;
}

absl::Status Problems::status() const {
  return empty() ? absl::OkStatus() : absl::InvalidArgumentError(text());
}

const Node* Node::find(std::string_view key) const {
  for (const Member& member : members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

std::string describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kSequence:
      return base::str_cat("a list of ", node.items.size(),
                           node.items.size() == 1 ? " value" : " values");
    case Node::Kind::kMap:
      return base::str_cat("a group of ", node.members.size(),
                           node.members.size() == 1 ? " key" : " keys");
    case Node::Kind::kScalar:
      break;
  }
  if (!node.quoted && !node.loose) {
    if (node.text == "true" || node.text == "false") return node.text;
    if (is_number_text(node.text)) return base::str_cat("the number ", node.text);
  }
  return base::str_cat("'", node.text, "'");
}

std::optional<bool> as_bool(const Node& node) {
  if (!node.is_scalar() || node.quoted) return std::nullopt;
  if (node.text == "true") return true;
  if (node.text == "false") return false;
  return std::nullopt;
}

std::optional<double> as_number(const Node& node, std::string_view unit) {
  if (!node.is_scalar() || node.quoted) return std::nullopt;
  if (const auto value = number_of(node.text)) return value;
  if (looks_like_number(node.text)) return std::nullopt;  // 010, 0x1F: not even with a unit
  return quantity_of(node.text, unit);
}

std::optional<int64_t> as_integer(const Node& node, std::string_view unit) {
  if (!node.is_scalar() || node.quoted) return std::nullopt;
  int64_t whole = 0;
  const char* end = node.text.data() + node.text.size();
  const auto [at, error] = std::from_chars(node.text.data(), end, whole);
  if (error == std::errc() && at == end && is_number_text(node.text)) return whole;
  const std::optional<double> value = as_number(node, unit);
  if (!value || *value != std::floor(*value) || std::abs(*value) > kLargestExactInteger) {
    return std::nullopt;
  }
  return static_cast<int64_t>(*value);
}

std::optional<std::string> as_text(const Node& node) {
  if (!node.is_scalar()) return std::nullopt;
  if (node.quoted || node.loose) return node.text;
  if (looks_like_number(node.text) || node.text == "true" || node.text == "false") {
    return std::nullopt;
  }
  return node.text;
}

Node scalar_node(std::string text, const Position& position, bool loose) {
  Node node;
  node.kind = Node::Kind::kScalar;
  node.text = std::move(text);
  node.loose = loose;
  node.position = position;
  return node;
}

Node node_of(const base::Json& value, const Position& position) {
  Node node;
  node.position = position;
  if (value.is_object()) {
    node.kind = Node::Kind::kMap;
    for (const auto& [key, member] : value.items()) {
      node.members.push_back({key, position, node_of(member, position)});
    }
  } else if (value.is_array()) {
    node.kind = Node::Kind::kSequence;
    for (const base::Json& item : value) node.items.push_back(node_of(item, position));
  } else if (!value.is_null()) {
    node =
        scalar_node(value.is_string() ? value.get<std::string>() : value.dump(), position, false);
    node.quoted = value.is_string();
  }
  return node;
}

base::Json json_of(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return nullptr;
    case Node::Kind::kSequence: {
      base::Json out = base::Json::array();
      for (const Node& item : node.items) out.push_back(json_of(item));
      return out;
    }
    case Node::Kind::kMap: {
      base::Json out = base::Json::object();
      for (const Member& member : node.members) out[member.key] = json_of(member.value);
      return out;
    }
    case Node::Kind::kScalar:
      break;
  }
  if (const auto value = as_bool(node)) return *value;
  if (const auto value = as_integer(node);
      value && node.text.find_first_of(".eE") == std::string::npos) {
    return *value;
  }
  if (const auto value = as_number(node)) return *value;
  return node.text;
}

}  // namespace frugal::pass
