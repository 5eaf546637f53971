// Tested by: tests/chat/template_test.cpp
#include "chat/methods.h"

#include <algorithm>
#include <span>

#include "chat/arguments.h"
#include "chat/formatting.h"
#include "chat/operations.h"
#include "chat/printing.h"
#include "chat/unicode.h"

namespace frugal::chat {
namespace {

using Function = absl::StatusOr<Value> (*)(Workspace&, const Value& self, const Arguments&);

struct Method {
  std::string_view name;
  Function function = nullptr;  // null: frugal has none
};

// -- Texts

template <std::string (*map)(std::string_view)>
absl::StatusOr<Value> mapped(Workspace& workspace, const Value& self, const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  // Mappings make at most three characters of one.
  FRUGAL_RETURN_IF_ERROR(workspace.charge(static_cast<int64_t>(self.text().size()) * 3));
  return workspace.text(map(self.text()));
}

template <Sides sides>
absl::StatusOr<Value> stripped(Workspace& workspace, const Value& self,
                               const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"chars"}));
  if (bound[0] == nullptr || bound[0]->is<None>())
    return workspace.text(std::string(strip(self.text(), sides)));
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view characters, text_or(bound[0], "", "chars"));
  FRUGAL_RETURN_IF_ERROR(
      workspace.work(static_cast<int64_t>(self.text().size() * (characters.size() / 64 + 1) / 64)));
  return workspace.text(std::string(strip(self.text(), sides, &characters)));
}

absl::StatusOr<Value> texts(Workspace& workspace, const std::vector<std::string_view>& parts) {
  FRUGAL_RETURN_IF_ERROR(
      workspace.charge(static_cast<int64_t>(parts.size() * sizeof(std::string_view))));
  std::vector<Value> items;
  for (const std::string_view part : parts) {
    FRUGAL_ASSIGN_OR_RETURN(Value item, workspace.text(std::string(part)));
    items.push_back(std::move(item));
  }
  return workspace.list(std::move(items));
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       int64_t most) {
  std::vector<std::string_view> parts;
  for (; most != 0; --most) {
    const size_t found = text.find(separator);
    if (found == std::string_view::npos) break;
    parts.push_back(text.substr(0, found));
    text.remove_prefix(found + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> split_back(std::string_view text, std::string_view separator,
                                         int64_t most) {
  std::vector<std::string_view> parts;
  for (; most != 0; --most) {
    const size_t found = text.rfind(separator);
    if (found == std::string_view::npos) break;
    parts.push_back(text.substr(found + separator.size()));
    text = text.substr(0, found);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_space(std::string_view text, int64_t most) {
  std::vector<std::string_view> parts;
  text = strip(text, Sides::kLeft);
  while (!text.empty()) {
    if (most-- == 0) {
      parts.push_back(text);
      break;
    }
    size_t end = 0, next = 0;
    while (next < text.size() && !is_space(next_character(text, next))) end = next;
    parts.push_back(text.substr(0, end));
    text = strip(text.substr(end), Sides::kLeft);
  }
  return parts;
}

std::vector<std::string_view> split_space_back(std::string_view text, int64_t most) {
  std::vector<std::string_view> parts;
  text = strip(text, Sides::kRight);
  while (!text.empty()) {
    if (most-- == 0) {
      parts.push_back(text);
      break;
    }
    size_t begin = text.size();
    while (begin > 0) {
      size_t previous = begin - 1;
      while (previous > 0 && (text[previous] & 0xC0) == 0x80) --previous;
      size_t at = previous;
      if (is_space(next_character(text, at))) break;
      begin = previous;
    }
    parts.push_back(text.substr(begin));
    text = strip(text.substr(0, begin), Sides::kRight);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

template <bool back>
absl::StatusOr<Value> split(Workspace& workspace, const Value& self, const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"sep", "maxsplit"}));
  FRUGAL_ASSIGN_OR_RETURN(int64_t most, integer_or(bound[1], -1, "maxsplit"));
  most = std::max<int64_t>(most, -1);  // it is counted down
  FRUGAL_RETURN_IF_ERROR(workspace.scan(self.text().size()));
  if (bound[0] == nullptr || bound[0]->is<None>())
    return texts(workspace,
                 back ? split_space_back(self.text(), most) : split_space(self.text(), most));
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view separator, text_or(bound[0], "", "sep"));
  if (separator.empty()) return base::invalid_argument("empty separator");
  FRUGAL_RETURN_IF_ERROR(workspace.search(self.text().size(), separator.size()));
  return texts(workspace, back ? split_back(self.text(), separator, most)
                               : split_at(self.text(), separator, most));
}

template <bool back>
absl::StatusOr<Value> partition(Workspace& workspace, const Value& self,
                                const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"sep"}, 1));
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view separator, text_or(bound[0], "", "sep"));
  if (separator.empty()) return base::invalid_argument("empty separator");
  FRUGAL_RETURN_IF_ERROR(workspace.search(self.text().size(), separator.size()));
  const std::string_view text = self.text();
  const size_t found = back ? text.rfind(separator) : text.find(separator);
  std::vector<std::string_view> parts = {text, "", ""};
  if (found != std::string_view::npos)
    parts = {text.substr(0, found), separator, text.substr(found + separator.size())};
  else if (back)
    parts = {"", "", text};
  std::vector<Value> items;
  for (const std::string_view part : parts) {
    FRUGAL_ASSIGN_OR_RETURN(Value item, workspace.text(std::string(part)));
    items.push_back(std::move(item));
  }
  return workspace.tuple(std::move(items));
}

absl::StatusOr<Value> lines(Workspace& workspace, const Value& self, const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"keepends"}));
  return texts(workspace, split_lines(self.text(), truth_or(bound[0], false)));
}

// The part of a text that start and end leave, and the number of the character it begins with.
struct Part {
  std::string_view text;
  int64_t first = 0;
};
absl::StatusOr<Part> part_of(Workspace& workspace, const Value& self, const Value* start,
                             const Value* end) {
  FRUGAL_RETURN_IF_ERROR(workspace.scan(self.text().size()));
  const TextData& data = **self.as<Text>();
  const auto place = [&](const Value* value, int64_t fallback) -> absl::StatusOr<int64_t> {
    if (value == nullptr || value->is<None>()) return fallback;
    FRUGAL_ASSIGN_OR_RETURN(const int64_t index, integer_or(value, 0, "start or end"));
    return std::clamp<int64_t>(index < 0 ? index + data.length : index, 0, data.length);
  };
  FRUGAL_ASSIGN_OR_RETURN(const int64_t first, place(start, 0));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t last, place(end, data.length));
  if (first == 0 && last == data.length) return Part{data.bytes, 0};
  const size_t begin = byte_of_character(data.bytes, first);
  const size_t stop = byte_of_character(data.bytes, std::max(first, last));
  return Part{std::string_view(data.bytes).substr(begin, stop - begin), first};
}

template <bool at_end>
absl::StatusOr<Value> has_affix(Workspace& workspace, const Value& self,
                                const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"affix", "start", "end"}, 1));
  FRUGAL_ASSIGN_OR_RETURN(const Part part, part_of(workspace, self, bound[1], bound[2]));
  const auto matches = [&](const Value& affix) -> absl::StatusOr<bool> {
    FRUGAL_ASSIGN_OR_RETURN(const std::string_view text, text_or(&affix, "", "affix"));
    FRUGAL_RETURN_IF_ERROR(workspace.scan(text.size()));
    return at_end ? part.text.ends_with(text) : part.text.starts_with(text);
  };
  const auto* several = bound[0]->as<const Sequence*>();
  if (several == nullptr || (*several)->type != Sequence::Type::kTuple) {
    FRUGAL_ASSIGN_OR_RETURN(const bool found, matches(*bound[0]));
    return Value(found);
  }
  for (const Value& affix : (*several)->items) {
    FRUGAL_ASSIGN_OR_RETURN(const bool found, matches(affix));
    if (found) return Value(true);
  }
  return Value(false);
}

enum class Missing { kMinusOne, kError };
template <bool back, Missing missing>
absl::StatusOr<Value> find(Workspace& workspace, const Value& self, const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"sub", "start", "end"}, 1));
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view wanted, text_or(bound[0], "", "sub"));
  FRUGAL_RETURN_IF_ERROR(workspace.search(self.text().size(), wanted.size()));
  FRUGAL_ASSIGN_OR_RETURN(const Part part, part_of(workspace, self, bound[1], bound[2]));
  const size_t found = back ? part.text.rfind(wanted) : part.text.find(wanted);
  if (found != std::string_view::npos)
    return Value(part.first + count_characters(part.text.substr(0, found)));
  if (missing == Missing::kMinusOne) return Value(int64_t{-1});
  return base::invalid_argument("substring not found");
}

absl::StatusOr<Value> count_text(Workspace& workspace, const Value& self,
                                 const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"sub", "start", "end"}, 1));
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view wanted, text_or(bound[0], "", "sub"));
  FRUGAL_RETURN_IF_ERROR(workspace.search(self.text().size(), wanted.size()));
  FRUGAL_ASSIGN_OR_RETURN(const Part part, part_of(workspace, self, bound[1], bound[2]));
  if (wanted.empty()) return Value(count_characters(part.text) + 1);
  int64_t count = 0;
  for (size_t at = part.text.find(wanted); at != std::string_view::npos;
       at = part.text.find(wanted, at + wanted.size()))
    ++count;
  return Value(count);
}

absl::StatusOr<Value> replaced(Workspace& workspace, const Value& self,
                               const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"old", "new", "count"}, 2));
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view old_text, text_or(bound[0], "", "old"));
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view new_text, text_or(bound[1], "", "new"));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t most, integer_or(bound[2], -1, "count"));
  FRUGAL_ASSIGN_OR_RETURN(std::string out,
                          replace(workspace, self.text(), old_text, new_text, most));
  return workspace.text(std::move(out));
}

absl::StatusOr<Value> joined(Workspace& workspace, const Value& self, const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"iterable"}, 1));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<Value> items, to_vector(workspace, *bound[0]));
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is<Text>() || (*items[i].as<Text>())->safe)
      return base::invalid_argument("item ", i, " is no str but a ", type_name(items[i]));
    FRUGAL_RETURN_IF_ERROR(
        workspace.charge(static_cast<int64_t>(items[i].text().size() + self.text().size())));
    if (i > 0) out += self.text();
    out += items[i].text();
  }
  return workspace.text(std::move(out));
}

// Whether every character is of a kind, and there is one.
template <bool (*kind)(char32_t)>
absl::StatusOr<Value> every(Workspace& workspace, const Value& self, const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  FRUGAL_RETURN_IF_ERROR(workspace.scan(self.text().size() * 8));
  for (size_t at = 0; at < self.text().size();) {
    if (!kind(next_character(self.text(), at))) return Value(false);
  }
  return Value(!self.text().empty());
}

template <bool lower_case>
absl::StatusOr<Value> has_case(Workspace& workspace, const Value& self,
                               const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  FRUGAL_RETURN_IF_ERROR(workspace.scan(self.text().size() * 8));
  return Value(is_in_case(self.text(), lower_case));
}

template <bool at_end>
absl::StatusOr<Value> without_affix(Workspace& workspace, const Value& self,
                                    const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"affix"}, 1));
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view affix, text_or(bound[0], "", "affix"));
  std::string_view text = self.text();
  if (at_end && text.ends_with(affix)) text.remove_suffix(affix.size());
  if (!at_end && text.starts_with(affix)) text.remove_prefix(affix.size());
  return workspace.text(std::string(text));
}

enum class Place { kLeft, kRight, kCenter };
template <Place place>
absl::StatusOr<Value> padded(Workspace& workspace, const Value& self, const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"width", "fillchar"}, 1));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t width, integer_or(bound[0], 0, "width"));
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view fill, text_or(bound[1], " ", "fillchar"));
  if (count_characters(fill) != 1)
    return base::invalid_argument("the fill character must be one character");
  const int64_t length = (*self.as<Text>())->length;
  const int64_t missing = std::max<int64_t>(0, std::max<int64_t>(0, width) - length);
  int64_t left = place == Place::kRight ? missing : 0;
  if (place == Place::kCenter) left = missing / 2 + (missing & width & 1);
  FRUGAL_ASSIGN_OR_RETURN(std::string before, repeated(workspace, fill, left));
  FRUGAL_ASSIGN_OR_RETURN(const std::string after, repeated(workspace, fill, missing - left));
  before += self.text();
  return workspace.text(before + after);
}

absl::StatusOr<Value> zero_filled(Workspace& workspace, const Value& self,
                                  const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"width"}, 1));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t width, integer_or(bound[0], 0, "width"));
  std::string_view text = self.text();
  FRUGAL_ASSIGN_OR_RETURN(
      const std::string zeros,
      repeated(workspace, "0", std::max<int64_t>(0, width) - (*self.as<Text>())->length));
  const size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  return workspace.text(base::str_cat(text.substr(0, sign), zeros, text.substr(sign)));
}

constexpr Method kTextMethods[] = {
    {"capitalize", mapped<capitalize>},
    {"casefold"},
    {"center", padded<Place::kCenter>},
    {"count", count_text},
    {"encode"},
    {"endswith", has_affix<true>},
    {"expandtabs"},
    {"find", find<false, Missing::kMinusOne>},
    {"format", format_braces},
    {"format_map"},
    {"index", find<false, Missing::kError>},
    {"isalnum", every<[](char32_t c) { return is_alphabetic(c) || is_digit(c); }>},
    {"isalpha", every<is_alphabetic>},
    {"isascii"},
    {"isdecimal", every<is_decimal>},
    {"isdigit", every<is_digit>},
    {"isidentifier"},
    {"islower", has_case<true>},
    {"isnumeric"},
    {"isprintable"},
    {"isspace", every<is_space>},
    {"istitle"},
    {"isupper", has_case<false>},
    {"join", joined},
    {"ljust", padded<Place::kLeft>},
    {"lower", mapped<lower>},
    {"lstrip", stripped<Sides::kLeft>},
    {"maketrans"},
    {"partition", partition<false>},
    {"removeprefix", without_affix<false>},
    {"removesuffix", without_affix<true>},
    {"replace", replaced},
    {"rfind", find<true, Missing::kMinusOne>},
    {"rindex", find<true, Missing::kError>},
    {"rjust", padded<Place::kRight>},
    {"rpartition", partition<true>},
    {"rsplit", split<true>},
    {"rstrip", stripped<Sides::kRight>},
    {"split", split<false>},
    {"splitlines", lines},
    {"startswith", has_affix<false>},
    {"strip", stripped<Sides::kBoth>},
    {"swapcase"},
    {"title", mapped<title>},
    {"translate"},
    {"upper", mapped<upper>},
    {"zfill", zero_filled},
};

// -- Lists, tuples

absl::StatusOr<Value> index_of(Workspace& workspace, const Value& self,
                               const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"value"}, 1));
  const std::vector<Value>& items = (*self.as<const Sequence*>())->items;
  for (size_t i = 0; i < items.size(); ++i) {
    FRUGAL_ASSIGN_OR_RETURN(const bool equal, is_equal(workspace, items[i], *bound[0]));
    if (equal) return Value(static_cast<int64_t>(i));
  }
  return base::invalid_argument("the value is not in the ", type_name(self));
}

absl::StatusOr<Value> count_item(Workspace& workspace, const Value& self,
                                 const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"value"}, 1));
  int64_t count = 0;
  for (const Value& item : (*self.as<const Sequence*>())->items) {
    FRUGAL_ASSIGN_OR_RETURN(const bool equal, is_equal(workspace, item, *bound[0]));
    count += equal ? 1 : 0;
  }
  return Value(count);
}

// Values do not change, so that a copy is the same.
absl::StatusOr<Value> copied(Workspace&, const Value& self, const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  return self;
}

constexpr Method kListMethods[] = {{"copy", copied}, {"count", count_item}, {"index", index_of}};
constexpr Method kTupleMethods[] = {{"count", count_item}, {"index", index_of}};
constexpr std::string_view kListChanges[] = {"append", "clear",  "extend",  "insert",
                                             "pop",    "remove", "reverse", "sort"};

// -- Dictionaries

absl::StatusOr<Value> get(Workspace& workspace, const Value& self, const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"key", "default"}, 1));
  FRUGAL_ASSIGN_OR_RETURN(const bool held, contains(workspace, self, *bound[0]));
  if (!held) return bound[1] == nullptr ? Value() : *bound[1];
  FRUGAL_ASSIGN_OR_RETURN(const Value* found,
                          find_key(workspace, **self.as<const Dictionary*>(), *bound[0]));
  return *found;
}

template <Sequence::Type type>
absl::StatusOr<Value> view(Workspace& workspace, const Value& self, const Arguments& arguments) {
  FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
  return view_of(workspace, **self.as<const Dictionary*>(), type);
}

constexpr Method kDictionaryMethods[] = {
    {"copy", copied},
    {"fromkeys"},
    {"get", get},
    {"items", view<Sequence::Type::kItems>},
    {"keys", view<Sequence::Type::kKeys>},
    {"values", view<Sequence::Type::kValues>},
};
constexpr std::string_view kDictionaryChanges[] = {"clear", "pop", "popitem", "setdefault",
                                                   "update"};

constexpr Method kViewMethods[] = {{"isdisjoint"}, {"mapping"}};
constexpr Method kRangeMethods[] = {
    {"count", count_item}, {"index", index_of}, {"start"}, {"step"}, {"stop"}};
constexpr Method kIntegerMethods[] = {
    {"as_integer_ratio"}, {"bit_count"}, {"bit_length"}, {"conjugate"}, {"denominator"},
    {"from_bytes"},       {"imag"},      {"numerator"},  {"real"},      {"to_bytes"}};
constexpr Method kFloatMethods[] = {
    {"as_integer_ratio"}, {"conjugate"}, {"fromhex"}, {"hex"}, {"imag"}, {"is_integer"}, {"real"}};
constexpr Method kGeneratorMethods[] = {
    {"close"}, {"gi_running"}, {"gi_yieldfrom"}, {"send"}, {"throw"}};

class BoundMethod : public Object {
 public:
  BoundMethod(Value self, const Method& method) : self_(std::move(self)), method_(method) {}

  std::string_view type_name() const override { return "builtin_function_or_method"; }
  bool callable() const override { return true; }

  absl::StatusOr<Value> call(Workspace& workspace, const Arguments& arguments) override {
    const std::string where =
        base::str_cat("the method '", method_.name, "' of '", chat::type_name(self_), "'");
    if (method_.function == nullptr)
      return base::unimplemented(where, " is not supported by frugal");
    const auto* text = self_.as<Text>();
    if (text != nullptr && (*text)->safe) return call_of_safe(workspace, arguments, where);
    absl::StatusOr<Value> result = method_.function(workspace, self_, arguments);
    if (!result.ok()) return base::annotate(result.status(), where);
    return result;
  }

 private:
  // Of HTML, what is made of it is HTML too, and arguments would be escaped.
  absl::StatusOr<Value> call_of_safe(Workspace& workspace, const Arguments& arguments,
                                     const std::string& where) {
    FRUGAL_ASSIGN_OR_RETURN(const Value plain, workspace.text(std::string(self_.text())));
    absl::StatusOr<Value> result = method_.function(workspace, plain, arguments);
    if (!result.ok()) return base::annotate(result.status(), where);
    if (!result->is<Text>() && !result->is<const Sequence*>()) return result;
    if (!arguments.positional.empty() || !arguments.keywords.empty() || !result->is<Text>())
      return base::unimplemented(where, " with arguments, or giving a list, after '|safe'");
    return workspace.text(std::string(result->text()), true);
  }

  Value self_;
  const Method& method_;
};

struct Members {
  std::span<const Method> methods;
  std::span<const std::string_view> changes = {};
};

Members members_of(const Value& object) {
  if (object.is<Text>()) return {kTextMethods};
  if (object.is<const Dictionary*>()) return {kDictionaryMethods, kDictionaryChanges};
  if (const auto* sequence = object.as<const Sequence*>()) {
    switch ((*sequence)->type) {
      case Sequence::Type::kList:
        return {kListMethods, kListChanges};
      case Sequence::Type::kTuple:
        return {kTupleMethods};
      case Sequence::Type::kRange:
        return {kRangeMethods};
      default:
        return {kViewMethods};
    }
  }
  if (object.is<int64_t>() || object.is<bool>()) return {kIntegerMethods};
  if (object.is<double>()) return {kFloatMethods};
  if (object.is<Iterator*>()) return {kGeneratorMethods};
  return {};
}

Value unsafe(const Value& object, std::string_view name) {
  return undefined(base::str_cat("access to attribute '", name, "' of '", type_name(object),
                                 "' object is unsafe: templates may not change values"));
}

}  // namespace

absl::StatusOr<std::optional<Value>> find_member(Workspace& workspace, const Value& object,
                                                 std::string_view name) {
  if (name.size() > 4 && name.starts_with("__") && name.ends_with("__"))
    return unsafe(object, name);
  if (const auto* space = object.as<Namespace*>()) {
    const Value* found = (*space)->find(name);
    return found == nullptr ? std::nullopt : std::optional<Value>(*found);
  }
  if (const auto* other = object.as<Object*>()) return (*other)->attribute(workspace, name);
  const Members members = members_of(object);
  if (std::find(members.changes.begin(), members.changes.end(), name) != members.changes.end())
    return unsafe(object, name);
  const auto found = std::find_if(members.methods.begin(), members.methods.end(),
                                  [&](const Method& method) { return method.name == name; });
  if (found == members.methods.end()) return std::nullopt;
  FRUGAL_ASSIGN_OR_RETURN(Value method,
                          workspace.object(std::make_unique<BoundMethod>(object, *found)));
  return method;
}

}  // namespace frugal::chat
