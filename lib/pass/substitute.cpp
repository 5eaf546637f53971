#include "pass/substitute.h"

#include <algorithm>

#include "pass/yaml.h"

namespace frugal::pass {
namespace {

using Values = std::map<std::string, Node>;

std::vector<std::string> names_of(const Values& values) {
  std::vector<std::string> out;
  for (const auto& [name, value] : values) out.push_back(name);
  return out;
}

// A setting is text of any type, or a list in brackets.
Node setting_node(const std::string& name, const std::string& text, Problems& problems) {
  const Position position{0, 0, base::str_cat("--set ", name)};
  if (!text.starts_with("[")) return scalar_node(text, position, true);
  Problems local(problems.source());
  Node node = parse_yaml(text, local);
  if (!local.empty() || !node.is_sequence()) {
    problems.add(position, "'", text, "' is no list; expected [value, value]");
    return scalar_node(text, position, true);
  }
  node.position = position;
  for (Node& item : node.items) {
    item.loose = true;
    item.position = position;
  }
  return node;
}

bool is_simple(const Node& node) {
  return node.is_scalar() ||
         (node.is_sequence() && std::all_of(node.items.begin(), node.items.end(),
                                            [](const Node& item) { return item.is_scalar(); }));
}

// Copies `value` to where it is used: messages then name that place.
Node placed(const Node& value, const Position& position) {
  Node out = value;
  out.position = position;
  for (Node& item : out.items) item.position = position;
  return out;
}

const Node* lookup(const Values& values, const std::string& name, const Position& position,
                   Problems& problems) {
  const auto found = values.find(name);
  if (found != values.end()) return &found->second;
  const std::vector<std::string> names = names_of(values);
  problems.add(position, "the variable '", name, "' is not in vars:",
               names.empty() ? "; there are none" : base::suggestion(name, names));
  return nullptr;
}

void substitute_scalar(Node& node, const Values& values, Problems& problems) {
  std::string out;
  size_t at = 0;
  while (at < node.text.size()) {
    if (node.text.compare(at, 3, "$${") == 0) {
      out += "${";
      at += 3;
    } else if (node.text.compare(at, 2, "${") == 0) {
      const size_t end = node.text.find('}', at);
      if (end == std::string::npos) {
        problems.add(node.position, "'${' without '}' in '", node.text,
                     "'; write $${ for a literal ${");
        return;
      }
      const Node* value =
          lookup(values, node.text.substr(at + 2, end - at - 2), node.position, problems);
      if (value == nullptr) return;
      if (at == 0 && end + 1 == node.text.size()) {
        node = placed(*value, node.position);
        return;
      }
      if (!value->is_scalar()) {
        problems.add(node.position, "a list cannot stand inside of text: '", node.text, "'");
        return;
      }
      out += value->text;
      at = end + 1;
    } else {
      out += node.text[at++];
    }
  }
  node.text = std::move(out);
}

}  // namespace

Values variable_values(const Node* vars,
                       const std::vector<std::pair<std::string, std::string>>& settings,
                       Problems& problems) {
  Values values;
  if (vars != nullptr && vars->is_map()) {
    for (const Member& member : vars->members) values[member.key] = member.value;
  } else if (vars != nullptr && vars->kind != Node::Kind::kNull) {
    problems.add(vars->position, "'vars' is ", describe(*vars), ", expected name: default");
  }
  for (const auto& [name, text] : settings) {
    if (values.contains(name)) {
      values[name] = setting_node(name, text, problems);
    } else {
      const std::vector<std::string> names = names_of(values);
      problems.add({0, 0, base::str_cat("--set ", name)}, "there is no variable '", name, "'",
                   names.empty() ? "; the file has no vars:" : base::suggestion(name, names));
    }
  }
  for (auto& [name, value] : values) {
    if (value.kind == Node::Kind::kNull) {
      problems.add(value.position, "the variable '", name, "' has no value: add --set ", name,
                   "=VALUE");
      value = scalar_node("", value.position, true);
    } else if (!is_simple(value)) {
      problems.add(value.position, "the variable '", name, "' is ", describe(value),
                   ", expected one value or a list of values");
    }
  }
  return values;
}

void substitute(Node& node, const Values& values, Problems& problems) {
  if (node.is_scalar()) {
    if (node.text.find("${") != std::string::npos) substitute_scalar(node, values, problems);
    return;
  }
  for (Node& item : node.items) substitute(item, values, problems);
  for (Member& member : node.members) substitute(member.value, values, problems);
}

}  // namespace frugal::pass
