// Tested by: tests/chat/template_test.cpp
#include "chat/filters.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "chat/arguments.h"
#include "chat/conditions.h"
#include "chat/formatting.h"
#include "chat/operations.h"
#include "chat/printing.h"
#include "chat/unicode.h"

namespace frugal::chat {
namespace {

using Function = absl::StatusOr<Value> (*)(Workspace&, const Value&, const Arguments&);

bool is_safe(const Value& value) { return value.is<Text>() && (*value.as<Text>())->safe; }

absl::Status refuse_safe(const Value& value) {
  if (!is_safe(value)) return absl::OkStatus();
  return base::unimplemented("after '|safe' or '|escape'");
}

// -- Texts

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

// -- Numbers

// A number as Python's float() reads it from a text; absent where there is none.
std::optional<double> parse_float(std::string_view text) {
  text = strip(text, Sides::kBoth);
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits += text[i];
    } else if (i == 0 || i + 1 == text.size() || text[i - 1] < '0' || text[i - 1] > '9' ||
               text[i + 1] < '0' || text[i + 1] > '9') {
      return std::nullopt;
    }
  }
  std::string_view rest = digits;
  if (rest.starts_with("+")) rest.remove_prefix(1);
  if (rest.empty() || (digits[0] == '+' && rest[0] == '-')) return std::nullopt;
  const std::string name = lower(rest.starts_with("-") ? rest.substr(1) : rest);
  const double sign = rest.starts_with("-") ? -1 : 1;
  if (name == "inf" || name == "infinity") return sign * INFINITY;
  if (name == "nan") return NAN;
  double value = 0;
  const auto result = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (result.ptr != rest.data() + rest.size()) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range)
    return std::strtod(std::string(rest).c_str(), nullptr);
  if (result.ec != std::errc()) return std::nullopt;
  return value;
}

absl::StatusOr<Value> whole(double value, const Value& fallback) {
  if (std::isnan(value) || std::isinf(value)) return fallback;
  if (!(std::fabs(value) < 9.2e18))
    return base::unimplemented("an integer needs more than 64 bits; frugal computes with 64");
  return Value(static_cast<int64_t>(value));
}

absl::StatusOr<Value> integer_of_text(std::string_view text, int64_t base_wanted,
                                      const Value& fallback) {
  if (base_wanted != 10)
    return base::unimplemented("with a base other than ten is not supported by frugal");
  std::string_view digits = strip(text, Sides::kBoth);
  if (digits.starts_with("+") && digits.size() > 1 && digits[1] != '-') digits.remove_prefix(1);
  int64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ec == std::errc() && result.ptr == digits.data() + digits.size()) return Value(value);
  if (result.ec == std::errc::result_out_of_range)
    return base::unimplemented("an integer needs more than 64 bits; frugal computes with 64");
  const auto number = parse_float(text);  // "42.23", "1_000"
  return number ? whole(*number, fallback) : absl::StatusOr<Value>(fallback);
}

absl::StatusOr<Value> as_integer(Workspace&, const Value& value, const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"default", "base"}));
  const Value fallback = bound[0] == nullptr ? Value(int64_t{0}) : *bound[0];
  FRUGAL_ASSIGN_OR_RETURN(const int64_t base_wanted, integer_or(bound[1], 10, "base"));
  if (value.is<Undefined>()) return base::invalid_argument(*value.as<Undefined>()->message);
  if (value.is<int64_t>()) return value;
  if (const auto* boolean = value.as<bool>()) return Value(int64_t{*boolean ? 1 : 0});
  if (const auto* number = value.as<double>()) return whole(*number, fallback);
  if (value.is<Text>()) return integer_of_text(value.text(), base_wanted, fallback);
  return fallback;
}

absl::StatusOr<Value> as_float(Workspace&, const Value& value, const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"default"}));
  const Value fallback = bound[0] == nullptr ? Value(0.0) : *bound[0];
  if (value.is<Undefined>()) return base::invalid_argument(*value.as<Undefined>()->message);
  if (const auto* integer = value.as<int64_t>()) return Value(static_cast<double>(*integer));
  if (const auto* boolean = value.as<bool>()) return Value(*boolean ? 1.0 : 0.0);
  if (value.is<double>()) return value;
  if (!value.is<Text>()) return fallback;
  const auto number = parse_float(value.text());
  return number ? Value(*number) : fallback;
}

absl::StatusOr<Value> absolute(Workspace&, const Value& value, const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  if (const auto* number = value.as<double>()) return Value(std::fabs(*number));
  if (!value.is<int64_t>() && !value.is<bool>())
    return base::invalid_argument("needs a number, found a ", type_name(value));
  const bool negative = value.is<int64_t>() && *value.as<int64_t>() < 0;
  return negate(value, negative);
}

absl::StatusOr<Value> rounded(Workspace& workspace, const Value& value,
                              const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"precision", "method"}));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t precision, integer_or(bound[0], 0, "precision"));
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view method, text_or(bound[1], "common", "method"));
  if (method != "common" && method != "ceil" && method != "floor")
    return base::invalid_argument("has the method '", method, "'; there are common, ceil, floor");
  if (precision < 0 || precision > 15)
    return base::unimplemented("to ", precision, " digits; frugal has 0 to 15");
  if (value.is<Undefined>()) return base::invalid_argument(*value.as<Undefined>()->message);
  if ((value.is<int64_t>() || value.is<bool>()) && method == "common") return negate(value, false);
  FRUGAL_ASSIGN_OR_RETURN(const Value as_number, arithmetic(workspace, "*", value, Value(1.0)));
  const double number = *as_number.as<double>();
  if (!std::isfinite(number)) return Value(number);
  if (method != "common") {
    const double scale = std::pow(10.0, static_cast<double>(precision));
    const double scaled = number * scale;
    return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
  }
  // To the nearest decimal, halves to the even one, by the exact value: as printf rounds.
  std::array<char, 400> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.*f", static_cast<int>(precision), number);
  return Value(std::strtod(buffer.data(), nullptr));
}

// -- Sequences

absl::StatusOr<Value> counted(Workspace&, const Value& value, const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  FRUGAL_ASSIGN_OR_RETURN(const int64_t count, length(value));
  return Value(count);
}

absl::StatusOr<Value> listed(Workspace& workspace, const Value& value, const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  FRUGAL_ASSIGN_OR_RETURN(std::vector<Value> items, to_vector(workspace, value));
  return workspace.list(std::move(items));
}

absl::StatusOr<Value> first(Workspace& workspace, const Value& value, const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  FRUGAL_ASSIGN_OR_RETURN(Iterator * iterator, iterate(workspace, value));
  FRUGAL_ASSIGN_OR_RETURN(std::optional<Value> item, iterator->next(workspace));
  return item ? *std::move(item) : undefined("No first item, sequence was empty.");
}

absl::Status check_reversible(const Value& value) {
  if (!value.is<Iterator*>()) return absl::OkStatus();
  return base::invalid_argument("a ", type_name(value),
                                " cannot be read from its end; write it through '|list'");
}

absl::StatusOr<Value> last(Workspace& workspace, const Value& value, const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  FRUGAL_RETURN_IF_ERROR(check_reversible(value));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<Value> items, to_vector(workspace, value));
  return items.empty() ? undefined("No last item, sequence was empty.") : items.back();
}

// Gives what was made before it.
class StoredIterator : public Iterator {
 public:
  StoredIterator(std::vector<Value> items, std::string_view type)
      : items_(std::move(items)), type_(type) {}
  absl::StatusOr<std::optional<Value>> next(Workspace& workspace) override {
    FRUGAL_RETURN_IF_ERROR(workspace.work(1));
    if (at_ == items_.size()) return std::nullopt;
    return items_[at_++];
  }
  std::string_view type_name() const override { return type_; }

 private:
  std::vector<Value> items_;
  std::string_view type_;
  size_t at_ = 0;
};

absl::StatusOr<Value> reversed(Workspace& workspace, const Value& value,
                               const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  if (value.is<Text>()) return slice(workspace, value, Value(), Value(), Value(int64_t{-1}));
  FRUGAL_ASSIGN_OR_RETURN(std::vector<Value> items, to_vector(workspace, value));
  std::reverse(items.begin(), items.end());
  if (value.is<Iterator*>()) return workspace.list(std::move(items));
  return workspace.iterator(
      std::make_unique<StoredIterator>(std::move(items), "list_reverseiterator"));
}

// "name", "address.city", "0.text" or a number: what is looked up, one after another.
absl::StatusOr<std::vector<Value>> attribute_path(Workspace& workspace, const Value& attribute) {
  if (attribute.is<None>()) return std::vector<Value>{};
  if (!attribute.is<Text>()) return std::vector<Value>{attribute};
  std::vector<Value> path;
  for (const std::string& part : base::split(attribute.text(), '.')) {
    int64_t index = 0;
    const auto result = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool number = !part.empty() && part[0] != '-' && result.ec == std::errc() &&
                        result.ptr == part.data() + part.size();
    FRUGAL_ASSIGN_OR_RETURN(Value text, workspace.text(part));
    path.push_back(number ? Value(index) : std::move(text));
  }
  return path;
}

absl::StatusOr<Value> follow(Workspace& workspace, Value value, const std::vector<Value>& path,
                             const Value* fallback = nullptr) {
  for (const Value& part : path) {
    FRUGAL_ASSIGN_OR_RETURN(value, get_item(workspace, value, part));
    if (fallback != nullptr && value.is<Undefined>()) value = *fallback;
  }
  return value;
}

absl::StatusOr<std::vector<Value>> path_or_none(Workspace& workspace, const Value* attribute) {
  return attribute == nullptr ? std::vector<Value>{} : attribute_path(workspace, *attribute);
}

absl::StatusOr<Value> without_case(Workspace& workspace, const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.is<Text>()) return value;
  return workspace.text(lower(value.text()));
}

absl::StatusOr<Value> joined(Workspace& workspace, const Value& value, const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"d", "attribute"}));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<Value> path, path_or_none(workspace, bound[1]));
  std::string separator;
  if (bound[0] != nullptr) {
    FRUGAL_ASSIGN_OR_RETURN(separator, to_text(workspace, *bound[0]));
  }
  FRUGAL_ASSIGN_OR_RETURN(Iterator * iterator, iterate(workspace, value));
  std::string out;
  for (bool begins = true;; begins = false) {
    FRUGAL_ASSIGN_OR_RETURN(std::optional<Value> item, iterator->next(workspace));
    if (!item) return workspace.text(std::move(out));
    FRUGAL_ASSIGN_OR_RETURN(const Value part, follow(workspace, *std::move(item), path));
    FRUGAL_ASSIGN_OR_RETURN(const std::string text, to_text(workspace, part));
    FRUGAL_RETURN_IF_ERROR(workspace.charge(static_cast<int64_t>(text.size() + separator.size())));
    if (!begins) out += separator;
    out += text;
  }
}

absl::StatusOr<Value> defaulted(Workspace& workspace, const Value& value,
                                const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"default_value", "boolean"}));
  const bool absent = value.is<Undefined>() || (truth_or(bound[1], false) && !is_true(value));
  if (!absent) return value;
  return bound[0] == nullptr ? workspace.text("") : absl::StatusOr<Value>(*bound[0]);
}

absl::StatusOr<Value> item_pairs(Workspace& workspace, const Value& value,
                                 const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  std::vector<Value> pairs;
  if (const auto* dictionary = value.as<const Dictionary*>()) {
    FRUGAL_ASSIGN_OR_RETURN(const Value view,
                            view_of(workspace, **dictionary, Sequence::Type::kItems));
    pairs = (*view.as<const Sequence*>())->items;
  } else if (!value.is<Undefined>()) {
    return base::invalid_argument("needs a dictionary, found a ", type_name(value));
  }
  return workspace.iterator(std::make_unique<StoredIterator>(std::move(pairs), "generator"));
}

absl::StatusOr<Value> sorted_dictionary(Workspace& workspace, const Value& value,
                                        const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"case_sensitive", "by", "reverse"}));
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view by, text_or(bound[1], "key", "by"));
  if (by != "key" && by != "value")
    return base::invalid_argument("sorts by 'key' or 'value', not by '", by, "'");
  if (value.is<Undefined>()) return base::invalid_argument(*value.as<Undefined>()->message);
  const auto* dictionary = value.as<const Dictionary*>();
  if (dictionary == nullptr)
    return base::invalid_argument("needs a dictionary, found a ", type_name(value));
  std::vector<std::pair<Value, Value>> keyed;  // what is compared, the pair
  for (const auto& [key, held] : (*dictionary)->entries) {
    FRUGAL_ASSIGN_OR_RETURN(Value pair, workspace.tuple({key, held}));
    FRUGAL_ASSIGN_OR_RETURN(Value compared, without_case(workspace, by == "key" ? key : held,
                                                         truth_or(bound[0], false)));
    keyed.emplace_back(std::move(compared), std::move(pair));
  }
  FRUGAL_RETURN_IF_ERROR(sort_by(
      workspace, keyed, [](const auto& item) -> const Value& { return item.first; },
      truth_or(bound[2], false)));
  std::vector<Value> items;
  for (auto& [compared, pair] : keyed) items.push_back(std::move(pair));
  return workspace.list(std::move(items));
}

absl::StatusOr<Value> sorted(Workspace& workspace, const Value& value, const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound,
                          bind(arguments, {"reverse", "case_sensitive", "attribute"}));
  // "age,name": by several.
  std::vector<std::vector<Value>> paths;
  if (bound[2] == nullptr || !bound[2]->is<Text>()) {
    FRUGAL_ASSIGN_OR_RETURN(paths.emplace_back(), path_or_none(workspace, bound[2]));
  } else {
    for (const std::string& part : base::split(bound[2]->text(), ',')) {
      FRUGAL_ASSIGN_OR_RETURN(const Value attribute, workspace.text(part));
      FRUGAL_ASSIGN_OR_RETURN(paths.emplace_back(), attribute_path(workspace, attribute));
    }
  }
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<Value> items, to_vector(workspace, value));
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items) {
    std::vector<Value> keys;
    for (const auto& path : paths) {
      FRUGAL_ASSIGN_OR_RETURN(const Value key, follow(workspace, item, path));
      FRUGAL_ASSIGN_OR_RETURN(keys.emplace_back(),
                              without_case(workspace, key, truth_or(bound[1], false)));
    }
    FRUGAL_ASSIGN_OR_RETURN(Value compared, workspace.list(std::move(keys)));
    keyed.emplace_back(std::move(compared), item);
  }
  FRUGAL_RETURN_IF_ERROR(sort_by(
      workspace, keyed, [](const auto& item) -> const Value& { return item.first; },
      truth_or(bound[0], false)));
  std::vector<Value> out;
  for (auto& [compared, item] : keyed) out.push_back(std::move(item));
  return workspace.list(std::move(out));
}

template <bool largest>
absl::StatusOr<Value> extreme(Workspace& workspace, const Value& value,
                              const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"case_sensitive", "attribute"}));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<Value> path, path_or_none(workspace, bound[1]));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<Value> items, to_vector(workspace, value));
  if (items.empty()) return undefined("No aggregated item, sequence was empty.");
  Value best, best_key;
  for (size_t i = 0; i < items.size(); ++i) {
    FRUGAL_ASSIGN_OR_RETURN(const Value held, follow(workspace, items[i], path));
    FRUGAL_ASSIGN_OR_RETURN(Value key, without_case(workspace, held, truth_or(bound[0], false)));
    bool better = i == 0;
    if (!better) {
      FRUGAL_ASSIGN_OR_RETURN(
          better, largest ? is_less(workspace, best_key, key) : is_less(workspace, key, best_key));
    }
    if (!better) continue;
    best = items[i];
    best_key = std::move(key);
  }
  return best;
}

absl::StatusOr<Value> summed(Workspace& workspace, const Value& value, const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"attribute", "start"}));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<Value> path, path_or_none(workspace, bound[0]));
  Value sum = bound[1] == nullptr ? Value(int64_t{0}) : *bound[1];
  if (sum.is<Text>()) return base::invalid_argument("cannot add texts; use '|join'");
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<Value> items, to_vector(workspace, value));
  for (const Value& item : items) {
    FRUGAL_ASSIGN_OR_RETURN(const Value held, follow(workspace, item, path));
    FRUGAL_ASSIGN_OR_RETURN(sum, arithmetic(workspace, "+", sum, held));
  }
  return sum;
}

// Items that differ; those before are compared one by one, as keys are few.
class UniqueIterator : public Iterator {
 public:
  UniqueIterator(Iterator* source, std::vector<Value> path, bool case_sensitive)
      : Iterator(source),
        source_(source),
        path_(std::move(path)),
        case_sensitive_(case_sensitive) {}
  absl::StatusOr<std::optional<Value>> next(Workspace& workspace) override {
    while (true) {
      FRUGAL_ASSIGN_OR_RETURN(std::optional<Value> item, source_->next(workspace));
      if (!item) return item;
      FRUGAL_ASSIGN_OR_RETURN(const Value held, follow(workspace, *item, path_));
      FRUGAL_ASSIGN_OR_RETURN(const Value key, without_case(workspace, held, case_sensitive_));
      const size_t before = seen_.size();
      FRUGAL_RETURN_IF_ERROR(set_key(workspace, seen_, key, Value()));
      FRUGAL_RETURN_IF_ERROR(workspace.charge(2 * sizeof(Value)));
      if (seen_.size() > before) return item;
    }
  }

 private:
  Iterator* source_;
  std::vector<Value> path_;
  bool case_sensitive_;
  std::vector<std::pair<Value, Value>> seen_;
};

absl::StatusOr<Value> unique(Workspace& workspace, const Value& value, const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"case_sensitive", "attribute"}));
  FRUGAL_ASSIGN_OR_RETURN(std::vector<Value> path, path_or_none(workspace, bound[1]));
  FRUGAL_ASSIGN_OR_RETURN(Iterator * source, iterate(workspace, value));
  return workspace.iterator(
      std::make_unique<UniqueIterator>(source, std::move(path), truth_or(bound[0], false)));
}

absl::StatusOr<Value> batched(Workspace& workspace, const Value& value,
                              const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"linecount", "fill_with"}, 1));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t count, integer_or(bound[0], 0, "linecount"));
  if (count < 1) return base::unimplemented("of ", count, " items");
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<Value> items, to_vector(workspace, value));
  std::vector<Value> rows;
  for (size_t begin = 0; begin < items.size();) {
    const size_t end = begin + std::min(items.size() - begin, static_cast<size_t>(count));
    std::vector<Value> row(items.begin() + static_cast<std::ptrdiff_t>(begin),
                           items.begin() + static_cast<std::ptrdiff_t>(end));
    if (bound[1] != nullptr && !bound[1]->is<None>()) {
      const int64_t missing = count - static_cast<int64_t>(row.size());
      FRUGAL_RETURN_IF_ERROR(workspace.charge(std::min(missing, int64_t{1} << 50) * 32));
      row.insert(row.end(), static_cast<size_t>(missing), *bound[1]);
    }
    FRUGAL_ASSIGN_OR_RETURN(rows.emplace_back(), workspace.list(std::move(row)));
    begin = end;
  }
  return workspace.iterator(std::make_unique<StoredIterator>(std::move(rows), "generator"));
}

// -- Filters on each item

class MapIterator : public Iterator {
 public:
  // By attribute where `filter` is empty.
  MapIterator(Iterator* source, std::string filter, Arguments arguments, std::vector<Value> path,
              std::optional<Value> fallback)
      : Iterator(source),
        source_(source),
        filter_(std::move(filter)),
        arguments_(std::move(arguments)),
        path_(std::move(path)),
        fallback_(std::move(fallback)) {}
  absl::StatusOr<std::optional<Value>> next(Workspace& workspace) override {
    FRUGAL_ASSIGN_OR_RETURN(std::optional<Value> item, source_->next(workspace));
    if (!item) return item;
    FRUGAL_ASSIGN_OR_RETURN(Value made,
                            filter_.empty()
                                ? follow(workspace, *item, path_, fallback_ ? &*fallback_ : nullptr)
                                : call_filter(workspace, filter_, *item, arguments_));
    return made;
  }

 private:
  Iterator* source_;
  std::string filter_;
  Arguments arguments_;
  std::vector<Value> path_;
  std::optional<Value> fallback_;
};

absl::StatusOr<Value> no_items(Workspace& workspace) {
  return workspace.iterator(std::make_unique<StoredIterator>(std::vector<Value>{}, "generator"));
}

absl::StatusOr<Value> mapped_items(Workspace& workspace, const Value& value,
                                   const Arguments& arguments) {
  if (!is_true(value)) return no_items(workspace);
  FRUGAL_ASSIGN_OR_RETURN(Iterator * source, iterate(workspace, value));
  if (!arguments.positional.empty()) {
    Arguments rest{{arguments.positional.begin() + 1, arguments.positional.end()},
                   arguments.keywords};
    FRUGAL_ASSIGN_OR_RETURN(const std::string_view filter,
                            text_or(&arguments.positional[0], "", "name"));
    if (filter_support(filter) != Support::kSupported)
      return base::unimplemented("with the filter '", filter, "', which frugal has not");
    return workspace.iterator(std::make_unique<MapIterator>(
        source, std::string(filter), std::move(rest), std::vector<Value>{}, std::nullopt));
  }
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"attribute", "default"}, 1));
  FRUGAL_ASSIGN_OR_RETURN(std::vector<Value> path, attribute_path(workspace, *bound[0]));
  std::optional<Value> fallback;
  if (bound[1] != nullptr && !bound[1]->is<None>()) fallback = *bound[1];
  return workspace.iterator(
      std::make_unique<MapIterator>(source, "", Arguments{}, std::move(path), std::move(fallback)));
}

class SelectIterator : public Iterator {
 public:
  SelectIterator(Iterator* source, std::vector<Value> path, std::string test, Arguments arguments,
                 bool wanted)
      : Iterator(source),
        source_(source),
        path_(std::move(path)),
        test_(std::move(test)),
        arguments_(std::move(arguments)),
        wanted_(wanted) {}
  absl::StatusOr<std::optional<Value>> next(Workspace& workspace) override {
    while (true) {
      FRUGAL_ASSIGN_OR_RETURN(std::optional<Value> item, source_->next(workspace));
      if (!item) return item;
      FRUGAL_ASSIGN_OR_RETURN(const Value held, follow(workspace, *item, path_));
      bool holds = is_true(held);
      if (!test_.empty()) {
        FRUGAL_ASSIGN_OR_RETURN(holds, call_test(workspace, test_, held, arguments_));
      }
      if (holds == wanted_) return item;
    }
  }

 private:
  Iterator* source_;
  std::vector<Value> path_;
  std::string test_;
  Arguments arguments_;
  bool wanted_;
};

template <bool wanted, bool by_attribute>
absl::StatusOr<Value> selected(Workspace& workspace, const Value& value,
                               const Arguments& arguments) {
  if (!is_true(value)) return no_items(workspace);
  FRUGAL_ASSIGN_OR_RETURN(Iterator * source, iterate(workspace, value));
  std::vector<Value> rest = arguments.positional;
  std::vector<Value> path;
  if (by_attribute) {
    if (rest.empty()) return base::invalid_argument("lacks the name of an attribute");
    FRUGAL_ASSIGN_OR_RETURN(path, attribute_path(workspace, rest[0]));
    rest.erase(rest.begin());
  }
  std::string test;
  if (!rest.empty()) {
    FRUGAL_ASSIGN_OR_RETURN(test, text_or(&rest[0], "", "test"));
    if (test_support(test) != Support::kSupported)
      return base::invalid_argument("there is no test '", test, "'");
    rest.erase(rest.begin());
  }
  return workspace.iterator(
      std::make_unique<SelectIterator>(source, std::move(path), std::move(test),
                                       Arguments{std::move(rest), arguments.keywords}, wanted));
}

struct Filter {
  std::string_view name;
  Function function = nullptr;  // null: Jinja has it, frugal has not
};

constexpr Filter kFilters[] = {
    {"abs", absolute},
    {"attr"},
    {"batch", batched},
    {"capitalize", mapped<capitalize>},
    {"center", centered},
    {"count", counted},
    {"d", defaulted},
    {"default", defaulted},
    {"dictsort", sorted_dictionary},
    {"e", escaped},
    {"escape", escaped},
    {"filesizeformat"},
    {"first", first},
    {"float", as_float},
    {"forceescape"},
    {"format", formatted},
    {"groupby"},
    {"indent", indented},
    {"int", as_integer},
    {"items", item_pairs},
    {"join", joined},
    {"last", last},
    {"length", counted},
    {"list", listed},
    {"lower", mapped<lower>},
    {"map", mapped_items},
    {"max", extreme<true>},
    {"min", extreme<false>},
    {"pprint"},
    {"random"},
    {"reject", selected<false, false>},
    {"rejectattr", selected<false, true>},
    {"replace", replaced},
    {"reverse", reversed},
    {"round", rounded},
    {"safe", marked_safe},
    {"select", selected<true, false>},
    {"selectattr", selected<true, true>},
    {"slice"},
    {"sort", sorted},
    {"string", as_text},
    {"striptags"},
    {"sum", summed},
    {"title", mapped<title_words>},
    {"tojson", json},
    {"trim", trimmed},
    {"truncate", truncated},
    {"unique", unique},
    {"upper", mapped<upper>},
    {"urlencode"},
    {"urlize"},
    {"wordcount", word_count},
    {"wordwrap"},
    {"xmlattr"},
};

const Filter* find_filter(std::string_view name) {
  const Filter* found = std::find_if(std::begin(kFilters), std::end(kFilters),
                                     [&](const Filter& filter) { return filter.name == name; });
  return found == std::end(kFilters) ? nullptr : found;
}

}  // namespace

Support filter_support(std::string_view name) {
  const Filter* found = find_filter(name);
  if (found == nullptr) return Support::kUnknown;
  return found->function == nullptr ? Support::kMissing : Support::kSupported;
}

absl::StatusOr<Value> call_filter(Workspace& workspace, std::string_view name, const Value& value,
                                  const Arguments& arguments) {
  const Filter* found = find_filter(name);
  if (found == nullptr || found->function == nullptr)
    return base::invalid_argument("there is no filter '", name, "'");
  absl::StatusOr<Value> result = found->function(workspace, value, arguments);
  if (!result.ok()) return base::annotate(result.status(), base::str_cat("filter '", name, "'"));
  return result;
}

}  // namespace frugal::chat
