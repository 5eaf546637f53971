// Tested by: tests/chat/template_test.cpp
// Filters that make texts.
#include <algorithm>

#include "chat/arguments.h"
#include "chat/filter_table.h"
#include "chat/formatting.h"
#include "chat/operations.h"
#include "chat/printing.h"
#include "chat/unicode.h"

namespace frugal::chat {
namespace {

bool is_safe(const Value& value) { return value.is<Text>() && (*value.as<Text>())->safe; }

absl::Status refuse_safe(const Value& value) {
  if (!is_safe(value)) return absl::OkStatus();
  return base::unimplemented("after '|safe' or '|escape'");
}

template <std::string (*map)(std::string_view)>
absl::StatusOr<Value> mapped(Workspace& workspace, const Value& value, const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, to_text(workspace, value));
  FRUGAL_RETURN_IF_ERROR(workspace.charge(static_cast<int64_t>(text.size()) * 3));
  return workspace.text(map(text), is_safe(value));
}

// Words as Jinja parts them, unlike str.title: behind white space and "-({[<".
std::string title_words(std::string_view text) {
  std::string out;
  bool begins = true;
  std::string word;
  const auto flush = [&] {
    if (word.empty()) return;
    size_t at = 0;
    next_character(word, at);
    out += upper(word.substr(0, at)) + lower(word.substr(at));
    word.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const size_t from = at;
    const char32_t c = next_character(text, at);
    const bool parts =
        is_space(c) || (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) !=
                                        std::string_view::npos);
    if (parts != begins) flush();
    begins = parts;
    word += text.substr(from, at - from);
  }
  flush();
  return out;
}

absl::StatusOr<Value> trimmed(Workspace& workspace, const Value& value,
                              const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"chars"}));
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, to_text(workspace, value));
  if (bound[0] == nullptr || bound[0]->is<None>())
    return workspace.text(std::string(strip(text, Sides::kBoth)), is_safe(value));
  FRUGAL_RETURN_IF_ERROR(refuse_safe(value));
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view characters, text_or(bound[0], "", "chars"));
  FRUGAL_RETURN_IF_ERROR(workspace.search(text.size(), characters.size()));
  return workspace.text(std::string(strip(text, Sides::kBoth, &characters)));
}

absl::StatusOr<Value> as_text(Workspace& workspace, const Value& value,
                              const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  if (value.is<Text>()) return value;
  FRUGAL_ASSIGN_OR_RETURN(std::string text, to_text(workspace, value));
  return workspace.text(std::move(text));
}

absl::StatusOr<Value> marked_safe(Workspace& workspace, const Value& value,
                                  const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  FRUGAL_ASSIGN_OR_RETURN(std::string text, to_text(workspace, value));
  return workspace.text(std::move(text), true);
}

absl::StatusOr<Value> escaped(Workspace& workspace, const Value& value,
                              const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  if (is_safe(value)) return value;
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, to_text(workspace, value));
  FRUGAL_RETURN_IF_ERROR(workspace.charge(static_cast<int64_t>(text.size()) * 5));
  return workspace.text(escape_html(text), true);
}

absl::StatusOr<Value> replaced(Workspace& workspace, const Value& value,
                               const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"old", "new", "count"}, 2));
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, to_text(workspace, value));
  FRUGAL_ASSIGN_OR_RETURN(const std::string old_text, to_text(workspace, *bound[0]));
  FRUGAL_ASSIGN_OR_RETURN(const std::string new_text, to_text(workspace, *bound[1]));
  const bool all = bound[2] == nullptr || bound[2]->is<None>();
  FRUGAL_ASSIGN_OR_RETURN(const int64_t most, integer_or(all ? nullptr : bound[2], -1, "count"));
  FRUGAL_ASSIGN_OR_RETURN(std::string out, replace(workspace, text, old_text, new_text, most));
  return workspace.text(std::move(out));
}

absl::StatusOr<std::string> indentation(Workspace& workspace, const Value* width) {
  if (width != nullptr && width->is<Text>()) return std::string(width->text());
  FRUGAL_ASSIGN_OR_RETURN(const int64_t spaces, integer_or(width, 4, "width"));
  return repeated(workspace, " ", spaces);
}

absl::StatusOr<Value> indented(Workspace& workspace, const Value& value,
                               const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"width", "first", "blank"}));
  if (!value.is<Text>()) {
    if (value.is<Undefined>()) return base::invalid_argument(*value.as<Undefined>()->message);
    return base::invalid_argument("needs a text, found a ", type_name(value));
  }
  FRUGAL_ASSIGN_OR_RETURN(const std::string indent, indentation(workspace, bound[0]));
  const bool blank = truth_or(bound[2], false);
  const std::string text = base::str_cat(value.text(), "\n");  // so that a last empty line counts
  const std::vector<std::string_view> lines = split_lines(text, false);
  std::string out = truth_or(bound[1], false) ? indent : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    FRUGAL_RETURN_IF_ERROR(
        workspace.charge(static_cast<int64_t>(lines[i].size() + indent.size() + 1)));
    if (i > 0) out += "\n";
    if (i > 0 && (blank || !lines[i].empty())) out += indent;
    out += lines[i];
  }
  return workspace.text(std::move(out), is_safe(value));
}

absl::StatusOr<Value> centered(Workspace& workspace, const Value& value,
                               const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"width"}));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t width, integer_or(bound[0], 80, "width"));
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, to_text(workspace, value));
  const int64_t missing =
      std::max<int64_t>(0, std::max<int64_t>(0, width) - count_characters(text));
  const int64_t left = missing / 2 + (missing & width & 1);
  FRUGAL_ASSIGN_OR_RETURN(const std::string before, repeated(workspace, " ", left));
  FRUGAL_ASSIGN_OR_RETURN(const std::string after, repeated(workspace, " ", missing - left));
  return workspace.text(before + text + after, is_safe(value));
}

absl::StatusOr<Value> truncated(Workspace& workspace, const Value& value,
                                const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound,
                          bind(arguments, {"length", "killwords", "end", "leeway"}));
  FRUGAL_RETURN_IF_ERROR(refuse_safe(value));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t most, integer_or(bound[0], 255, "length"));
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view end, text_or(bound[2], "...", "end"));
  const bool default_leeway = bound[3] == nullptr || bound[3]->is<None>();
  FRUGAL_ASSIGN_OR_RETURN(const int64_t leeway,
                          integer_or(default_leeway ? nullptr : bound[3], 5, "leeway"));
  const int64_t end_length = count_characters(end);
  if (most < end_length || leeway < 0 || most > (int64_t{1} << 40) || leeway > (int64_t{1} << 40))
    return base::invalid_argument("has the length ", most, " and the leeway ", leeway);
  FRUGAL_ASSIGN_OR_RETURN(const int64_t count, length(value));
  if (count <= most + leeway) return value;
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view text, text_or(&value, "", "value"));
  std::string_view kept = text.substr(0, byte_of_character(text, most - end_length));
  if (!truth_or(bound[1], false)) kept = kept.substr(0, kept.rfind(' '));
  return workspace.text(base::str_cat(kept, end));
}

absl::StatusOr<Value> formatted(Workspace& workspace, const Value& value,
                                const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(refuse_safe(value));
  FRUGAL_ASSIGN_OR_RETURN(const Value format, as_text(workspace, value, {}));
  if (arguments.keywords.empty()) {
    FRUGAL_ASSIGN_OR_RETURN(const Value values, workspace.tuple(arguments.positional));
    return format_percent(workspace, format, values);
  }
  if (!arguments.positional.empty())
    return base::invalid_argument("takes values in order or by name, not both");
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [name, held] : arguments.keywords) {
    FRUGAL_ASSIGN_OR_RETURN(Value key, workspace.text(name));
    entries.emplace_back(std::move(key), held);
  }
  FRUGAL_ASSIGN_OR_RETURN(const Value values, workspace.dictionary(std::move(entries)));
  return format_percent(workspace, format, values);
}

absl::StatusOr<Value> word_count(Workspace& workspace, const Value& value,
                                 const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, to_text(workspace, value));
  int64_t count = 0;
  bool within = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_character(text, at);
    const bool word = is_alphabetic(c) || is_digit(c) || c == '_';
    count += word && !within ? 1 : 0;
    within = word;
  }
  return Value(count);
}

absl::StatusOr<Value> json(Workspace& workspace, const Value& value, const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound,
                          bind(arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style{.ensure_ascii = truth_or(bound[0], false),
                  .sort_keys = truth_or(bound[3], false)};
  if (bound[1] != nullptr && !bound[1]->is<None>()) {
    FRUGAL_ASSIGN_OR_RETURN(style.indent, indentation(workspace, bound[1]));
    style.item_separator = ",";
  }
  if (bound[2] != nullptr && !bound[2]->is<None>()) {
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<Value> parts, to_vector(workspace, *bound[2]));
    if (parts.size() != 2) return base::invalid_argument("needs two separators");
    FRUGAL_ASSIGN_OR_RETURN(style.item_separator, text_or(&parts[0], "", "separators"));
    FRUGAL_ASSIGN_OR_RETURN(style.key_separator, text_or(&parts[1], "", "separators"));
  }
  FRUGAL_ASSIGN_OR_RETURN(std::string text, to_json(workspace, value, style));
  return workspace.text(std::move(text));
}

constexpr Filter kTextFilters[] = {
    {"capitalize", mapped<capitalize>},
    {"center", centered},
    {"e", escaped},
    {"escape", escaped},
    {"format", formatted},
    {"indent", indented},
    {"lower", mapped<lower>},
    {"replace", replaced},
    {"safe", marked_safe},
    {"string", as_text},
    {"title", mapped<title_words>},
    {"tojson", json},
    {"trim", trimmed},
    {"truncate", truncated},
    {"upper", mapped<upper>},
    {"wordcount", word_count},
};

}  // namespace

std::span<const Filter> text_filters() { return kTextFilters; }

}  // namespace frugal::chat
