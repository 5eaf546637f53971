// Tested by: tests/pass/option_reader_test.cpp
// What people read of a pass's options.
#include <algorithm>

#include "base/text.h"
#include "pass/option_reader.h"
#include "pass/option_text.h"
#include "pass/option_visitor.h"

namespace frugal::pass {
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
