#include "pass/value_reader.h"

#include <algorithm>

#include "base/text.h"

namespace frugal::pass {
namespace {

// What a number outside of its range was probably meant to be.
std::string likely_slip(const OptionInfo& info, double value) {
  if (info.maximum == 1 && value > 1 && value <= 100) {
    return base::str_cat("; it is a share: ", value, "% is ", value / 100);
  }
  if (info.unit == "bytes" && value > 0 && value < info.minimum) {
    return base::str_cat("; it is in bytes: ", value, " GiB is written ", value, "GiB");
  }
  if (info.unit == "seconds" && value > info.maximum && value / 1000 <= info.maximum) {
    return base::str_cat("; it is in seconds: ", value, " ms are ", value / 1000);
  }
  return "";
}

std::string near_text(const std::string& value, const std::vector<std::string>& names) {
  const auto near = base::nearest(value, names);
  return near ? base::str_cat("; did you mean '", *near, "'?") : "";
}

}  // namespace

void ValueReader::read(const Node& node, bool& value) {
  if (node.loose && node.text.empty()) {  // --flag without a value
    value = true;
  } else if (const auto found = as_bool(node)) {
    value = *found;
  } else {
    wrong_type(node, "true or false");
  }
}

void ValueReader::read(const Node& node, int64_t& value) {
  if (const auto found = as_integer(node, info_.unit)) {
    if (!is_default(*found, value) && !in_range(node, static_cast<double>(*found))) return;
    value = *found;
  } else {
    wrong_type(node, base::str_cat("a whole number", unit_hint(info_)));
  }
}

void ValueReader::read(const Node& node, double& value) {
  if (const auto found = as_number(node, info_.unit)) {
    if (!is_default(*found, value) && !in_range(node, *found)) return;
    value = *found;
  } else {
    wrong_type(node, base::str_cat("a number", unit_hint(info_)));
  }
}

void ValueReader::read(const Node& node, std::string& value) {
  const auto found = as_text(node);
  if (!found) return wrong_type(node, text_kind());
  if (!is_default(*found, value) && !in_choices(node, *found)) return;
  value = *found;
}

void ValueReader::read(const Node& node, Assignments& value) {
  Assignments out;
  if (node.is_map()) {
    for (const Member& member : node.members) {
      const auto text = as_text(member.value);
      if (!text) return wrong_type(member.value, base::str_cat("a text for '", member.key, "'"));
      out.entries.emplace_back(member.key, *text);
    }
  } else {
    std::vector<std::string> items;
    read(node, items);
    for (const std::string& item : items) {
      const size_t equals = item.rfind('=');
      if (equals == 0 || equals == std::string::npos) return wrong_type(node, "pattern=value");
      out.entries.emplace_back(item.substr(0, equals), item.substr(equals + 1));
    }
  }
  value = std::move(out);
}

// On a command line a list is written with commas.
std::vector<Node> ValueReader::split_loose(const Node& node) {
  if (!node.loose) return {node};
  std::vector<Node> out;
  for (const std::string& part : base::split(node.text, ',')) {
    out.push_back(scalar_node(part, node.position, true));
  }
  return out;
}

std::string ValueReader::text_kind() const {
  return info_.choices.empty() ? "text" : base::str_cat("one of ", base::join(info_.choices, ", "));
}

void ValueReader::wrong_type(const Node& node, std::string_view expected) {
  problems_.add(node.position, "option '", info_.name, "' is ", describe(node), ", expected ",
                expected);
}

bool ValueReader::in_range(const Node& node, double value) {
  const bool low = info_.minimum_exclusive ? value > info_.minimum : value >= info_.minimum;
  if (low && value <= info_.maximum) return true;
  problems_.add(node.position, "option '", info_.name, "' is ", node.text, ", allowed is ",
                range_text(info_), likely_slip(info_, value));
  return false;
}

bool ValueReader::in_choices(const Node& node, const std::string& value) {
  if (info_.choices.empty() ||
      std::find(info_.choices.begin(), info_.choices.end(), value) != info_.choices.end()) {
    return true;
  }
  for (const FormerChoice& choice : info_.former_choices) {
    if (choice.former != value) continue;
    problems_.add(node.position, "option '", info_.name, "' is '", value,
                  "', which is now called '", choice.now, "'");
    return false;
  }
  problems_.add(node.position, "option '", info_.name, "' is '", value,
                "'; allowed: ", base::join(info_.choices, ", "), near_text(value, info_.choices));
  return false;
}

void ValueReader::read_name(const Node& node, std::string_view what, std::string& name) {
  const auto found = as_text(node);
  if (!found) return wrong_type(node, base::str_cat("the name of ", what));
  name = *found;
}

}  // namespace frugal::pass
