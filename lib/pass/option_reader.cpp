#include "pass/option_reader.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace frugal::pass {
namespace {

std::string number_text(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    return base::str_cat(static_cast<int64_t>(value));
  }
  return base::Json(value).dump();
}

std::string range_text(const OptionInfo& info) {
  const bool low = std::isfinite(info.minimum), high = std::isfinite(info.maximum);
  const std::string from = number_text(info.minimum), to = number_text(info.maximum);
  if (low && high) {
    return info.minimum_exclusive ? base::str_cat("above ", from, ", at most ", to)
                                  : base::str_cat(from, " to ", to);
  }
  if (low) return base::str_cat(info.minimum_exclusive ? "above " : "at least ", from);
  return high ? base::str_cat("at most ", to) : "";
}

std::string unit_hint(const OptionInfo& info) {
  if (info.unit.empty()) return "";
  if (info.unit == "bytes") return " of bytes, such as 4096 or 70GiB";
  if (info.unit == "seconds") return " of seconds, such as 90 or 2h";
  return base::str_cat(" of ", info.unit, ", such as 20000 or 20M");
}

// Visits every option once and hands the value on under one name, whatever its type.
template <typename Action>
class Visitor : public OptionVisitor {
 public:
  explicit Visitor(Action action) : action_(std::move(action)) {}
  void field(const OptionInfo& info, bool& value) override { action_(info, value); }
  void field(const OptionInfo& info, int64_t& value) override { action_(info, value); }
  void field(const OptionInfo& info, double& value) override { action_(info, value); }
  void field(const OptionInfo& info, std::string& value) override { action_(info, value); }
  void field(const OptionInfo& info, std::vector<std::string>& value) override {
    action_(info, value);
  }
  void field(const OptionInfo& info, std::vector<int64_t>& value) override { action_(info, value); }
  void field(const OptionInfo& info, ModelReference& value) override { action_(info, value); }
  void field(const OptionInfo& info, DataReference& value) override { action_(info, value); }
  void field(const OptionInfo& info, std::vector<DataReference>& value) override {
    action_(info, value);
  }
  void field(const OptionInfo& info, Assignments& value) override { action_(info, value); }
  void field(const OptionInfo& info, std::optional<int64_t>& value) override {
    action_(info, value);
  }
  void field(const OptionInfo& info, std::optional<double>& value) override {
    action_(info, value);
  }
  void field(const OptionInfo& info, std::optional<std::string>& value) override {
    action_(info, value);
  }

 private:
  Action action_;
};

template <typename Action>
void visit(Pass& pass, Action action) {
  Visitor<Action> visitor(std::move(action));
  pass.visit_options(visitor);
}

base::Json to_json(bool value) { return value; }
base::Json to_json(int64_t value) { return value; }
base::Json to_json(double value) { return base::finite_or_null(value); }
base::Json to_json(const std::string& value) { return value; }
base::Json to_json(const ModelReference& value) { return value.name; }
base::Json to_json(const DataReference& value) { return value.name; }
base::Json to_json(const Assignments& value) {  // a list: an object would lose the order
  base::Json out = base::Json::array();
  for (const auto& [pattern, text] : value.entries)
    out.push_back(base::str_cat(pattern, "=", text));
  return out;
}
template <typename T>
base::Json to_json(const std::vector<T>& values) {
  base::Json out = base::Json::array();
  for (const T& value : values) out.push_back(to_json(value));
  return out;
}

// Nothing where other options decide.
template <typename T>
base::Json to_json(const std::optional<T>& value) {
  return value ? to_json(*value) : base::Json();
}

template <typename T>
inline constexpr bool kIsOpen = false;
template <typename T>
inline constexpr bool kIsOpen<std::optional<T>> = true;

std::string type_text(bool) { return "true|false"; }
std::string type_text(int64_t) { return "integer"; }
std::string type_text(double) { return "number"; }
std::string type_text(const std::string&) { return "text"; }
std::string type_text(const ModelReference&) { return "model"; }
std::string type_text(const DataReference&) { return "data"; }
std::string type_text(const Assignments&) { return "pattern=value"; }
template <typename T>
std::string type_text(const std::vector<T>&) {
  return base::str_cat("list of ", type_text(T{}));
}
template <typename T>
std::string type_text(const std::optional<T>&) {
  return type_text(T{});
}

// Reads the value of one option.
class ValueReader {
 public:
  ValueReader(const OptionInfo& info, Problems& problems) : info_(info), problems_(problems) {}

  void read(const Node& node, bool& value) {
    if (node.loose && node.text.empty()) {  // --flag without a value
      value = true;
    } else if (const auto found = as_bool(node)) {
      value = *found;
    } else {
      wrong_type(node, "true or false");
    }
  }
  void read(const Node& node, int64_t& value) {
    if (const auto found = as_integer(node, info_.unit)) {
      if (!is_default(*found, value) && !in_range(node, static_cast<double>(*found))) return;
      value = *found;
    } else {
      wrong_type(node, base::str_cat("a whole number", unit_hint(info_)));
    }
  }
  void read(const Node& node, double& value) {
    if (const auto found = as_number(node, info_.unit)) {
      if (!is_default(*found, value) && !in_range(node, *found)) return;
      value = *found;
    } else {
      wrong_type(node, base::str_cat("a number", unit_hint(info_)));
    }
  }
  void read(const Node& node, std::string& value) {
    const auto found = as_text(node);
    if (!found) return wrong_type(node, text_kind());
    if (!is_default(*found, value) && !in_choices(node, *found)) return;
    value = *found;
  }
  void read(const Node& node, ModelReference& value) { read_name(node, "a model", value.name); }
  void read(const Node& node, DataReference& value) { read_name(node, "data", value.name); }
  void read(const Node& node, Assignments& value) {
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
  template <typename T>
  void read(const Node& node, std::optional<T>& value) {
    T given{};
    whole_ = false;  // there is no default that could be written out
    const size_t before = problems_.size();
    read(node, given);
    if (problems_.size() == before) value = std::move(given);
  }
  template <typename T>
  void read(const Node& node, std::vector<T>& value) {
    std::vector<T> out;
    whole_ = false;
    if (node.is_scalar()) {
      for (const Node& item : split_loose(node)) read(item, out.emplace_back());
    } else if (node.is_sequence()) {
      for (const Node& item : node.items) read(item, out.emplace_back());
    } else {
      return wrong_type(node, base::str_cat("a ", type_text(value)));
    }
    value = std::move(out);
  }

 private:
  // A default may lie outside the range (0 = all, "" = none), and writing it out changes nothing.
  template <typename T>
  bool is_default(const T& found, const T& value) const {
    return whole_ && found == value;
  }
  // On a command line a list is written with commas.
  static std::vector<Node> split_loose(const Node& node) {
    if (!node.loose) return {node};
    std::vector<Node> out;
    for (const std::string& part : base::split(node.text, ',')) {
      out.push_back(scalar_node(part, node.position, true));
    }
    return out;
  }
  std::string text_kind() const {
    return info_.choices.empty() ? "text"
                                 : base::str_cat("one of ", base::join(info_.choices, ", "));
  }
  void wrong_type(const Node& node, std::string_view expected) {
    problems_.add(node.position, "option '", info_.name, "' is ", describe(node), ", expected ",
                  expected);
  }
  bool in_range(const Node& node, double value) {
    const bool low = info_.minimum_exclusive ? value > info_.minimum : value >= info_.minimum;
    if (low && value <= info_.maximum) return true;
    problems_.add(node.position, "option '", info_.name, "' is ", node.text, ", allowed is ",
                  range_text(info_), likely_slip(value));
    return false;
  }
  // What a number outside of its range was probably meant to be.
  std::string likely_slip(double value) const {
    if (info_.maximum == 1 && value > 1 && value <= 100) {
      return base::str_cat("; it is a share: ", value, "% is ", value / 100);
    }
    if (info_.unit == "bytes" && value > 0 && value < info_.minimum) {
      return base::str_cat("; it is in bytes: ", value, " GiB is written ", value, "GiB");
    }
    if (info_.unit == "seconds" && value > info_.maximum && value / 1000 <= info_.maximum) {
      return base::str_cat("; it is in seconds: ", value, " ms are ", value / 1000);
    }
    return "";
  }
  bool in_choices(const Node& node, const std::string& value) {
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
  static std::string near_text(const std::string& value, const std::vector<std::string>& names) {
    const auto near = base::nearest(value, names);
    return near ? base::str_cat("; did you mean '", *near, "'?") : "";
  }
  void read_name(const Node& node, std::string_view what, std::string& name) {
    const auto found = as_text(node);
    if (!found) return wrong_type(node, base::str_cat("the name of ", what));
    name = *found;
  }

  const OptionInfo& info_;
  Problems& problems_;
  bool whole_ = true;  // false while reading the values of a list
};

}  // namespace

void read_options(Pass& pass, const Node& map, const std::vector<std::string>& elsewhere,
                  Problems& problems, Positions& positions) {
  const std::string owner = base::str_cat("pass '", pass.info().name, "'");
  if (!map.is_map() && map.kind != Node::Kind::kNull) {
    problems.add(map.position, "the options of ", owner, " are ", describe(map),
                 ", expected a group of keys");
    return;
  }
  std::vector<std::string> known;
  std::map<std::string, std::string, std::less<>> renamed;  // former name: present name
  visit(pass, [&](const OptionInfo& info, auto& value) {
    known.emplace_back(info.name);
    for (const std::string_view former : info.former_names) renamed.emplace(former, info.name);
    if (const Node* node = map.find(info.name)) {
      positions[std::string(info.name)] = node->position;
      if (node->kind == Node::Kind::kNull) {
        problems.add(node->position, "option '", info.name, "' has no value");
      } else {
        ValueReader(info, problems).read(*node, value);
      }
    } else if (info.required &&
               std::find(elsewhere.begin(), elsewhere.end(), info.name) == elsewhere.end()) {
      problems.add(map.position, owner, " needs the option '", info.name, "': ", info.help);
    }
  });
  for (const Member& member : map.members) {
    if (std::find(known.begin(), known.end(), member.key) != known.end()) continue;
    if (const auto now = renamed.find(member.key); now != renamed.end()) {
      problems.add(member.position, owner, ": option '", member.key, "' is now called '",
                   now->second, "'");
      continue;
    }
    problems.add(member.position, owner, " has no option '", member.key, "'",
                 known.empty() ? "; it takes none" : base::suggestion(member.key, known));
  }
}

base::Json options_json(Pass& pass) {
  base::Json out = base::Json::object();
  visit(pass, [&](const OptionInfo& info, auto& value) {
    if constexpr (kIsOpen<std::decay_t<decltype(value)>>) {
      if (!value) return;
    }
    out[std::string(info.name)] = to_json(value);
  });
  return out;
}

std::string OptionDescription::default_text() const {
  if (default_value.is_string()) {
    return default_value.get<std::string>().empty() ? "none" : default_value.get<std::string>();
  }
  if (default_value.is_number_float()) return number_text(default_value.get<double>());
  if (!default_value.is_array()) return default_value.dump();
  std::vector<std::string> parts;
  for (const base::Json& item : default_value) {
    parts.push_back(item.is_string() ? item.get<std::string>() : item.dump());
  }
  return parts.empty() ? "none" : base::join(parts, ",");
}

std::vector<OptionDescription> describe_options(Pass& pass) {
  std::vector<OptionDescription> out;
  visit(pass, [&](const OptionInfo& info, auto& value) {
    OptionDescription& option = out.emplace_back();
    option.name = info.name;
    option.help = info.help;
    option.unit = info.unit;
    option.type = type_text(value);
    option.range = range_text(info);
    option.choices = info.choices;
    option.required = info.required;
    option.default_value = to_json(value);
    if constexpr (kIsOpen<std::decay_t<decltype(value)>>) {
      if (!value) option.default_value = std::string(info.otherwise);
    }
    option.former_names.assign(info.former_names.begin(), info.former_names.end());
  });
  return out;
}

std::vector<std::string> precision_options(Pass& pass) {
  std::vector<std::string> out;
  visit(pass, [&](const OptionInfo& info, auto&) {
    if (info.is_precision) out.emplace_back(info.name);
  });
  return out;
}

std::vector<Reference> references(Pass& pass) {
  std::vector<Reference> out;
  const auto add = [&](const OptionInfo& info, const std::string& name, Reference::Kind kind) {
    if (!name.empty()) out.push_back({std::string(info.name), name, kind});
  };
  visit(pass, [&](const OptionInfo& info, auto& value) {
    using T = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<T, ModelReference>) {
      add(info, value.name, Reference::Kind::kModel);
    } else if constexpr (std::is_same_v<T, DataReference>) {
      add(info, value.name, Reference::Kind::kData);
    } else if constexpr (std::is_same_v<T, std::vector<DataReference>>) {
      for (const DataReference& item : value) add(info, item.name, Reference::Kind::kData);
    }
  });
  return out;
}

namespace {

// Breaks `text` at spaces so that no line is longer than `width`, each line behind `indent` spaces.
std::string wrapped(std::string_view text, size_t indent, size_t width) {
  std::string out, line;
  for (const std::string& word : base::split(text, ' ')) {
    if (word.empty()) continue;
    if (!line.empty() && indent + line.size() + 1 + word.size() > width) {
      out += std::string(indent, ' ') + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  if (!line.empty()) out += std::string(indent, ' ') + line + "\n";
  return out;
}

std::string option_help(const OptionDescription& option, bool command_line) {
  std::string name = option.name;
  if (command_line) {
    std::replace(name.begin(), name.end(), '_', '-');
    name = "--" + name;
  }
  const std::string kind = option.unit.empty() || option.type == "text"
                               ? option.type
                               : base::str_cat(option.type, ", ", option.unit);
  std::string out =
      base::str_cat("  ", name, "  <", kind, ">", option.required ? "  required" : "", "\n");
  std::string text = option.help;
  if (!option.choices.empty())
    text += base::str_cat(" One of: ", base::join(option.choices, ", "), ".");
  if (!option.range.empty()) text += base::str_cat(" Range: ", option.range, ".");
  if (!option.required) text += base::str_cat(" Default: ", option.default_text(), ".");
  return out + wrapped(text, 6, 100);
}

}  // namespace

std::string pass_help(Pass& pass, bool command_line) {
  const PassInfo& info = pass.info();
  std::string out = base::str_cat(info.name, ": ", info.summary, "\n");
  out += base::str_cat("  takes ", info.input == Input::kCheckpoint ? "a checkpoint" : "no model",
                       ", yields ",
                       info.output == Output::kCheckpoint ? "a checkpoint"
                       : info.output == Output::kArtifact ? "an artifact"
                                                          : "numbers",
                       "\n\nOptions\n");
  const std::vector<OptionDescription> options = describe_options(pass);
  if (options.empty()) out += "  none\n";
  for (const OptionDescription& option : options) out += option_help(option, command_line);
  return out;
}

}  // namespace frugal::pass
