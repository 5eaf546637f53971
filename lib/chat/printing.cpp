// Tested by: tests/chat/template_test.cpp
#include "chat/printing.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "chat/operations.h"
#include "chat/unicode.h"

namespace frugal::chat {
namespace {

// A text that stops to grow where the workspace would not hold it: values share parts, so that
// what is printed can be far larger than what is stored.
class Printer {
 public:
  explicit Printer(Workspace& workspace) : workspace_(workspace) {}

  absl::Status put(std::string_view text) {
    out_ += text;
    if (static_cast<int64_t>(out_.size()) > workspace_.bytes_left())
      return workspace_.charge(static_cast<int64_t>(out_.size()));
    return workspace_.scan(text.size());
  }
  std::string take() { return std::move(out_); }
  Workspace& workspace() { return workspace_; }

 private:
  Workspace& workspace_;
  std::string out_;
};

absl::Status put_value(Printer& printer, const Value& value);

absl::Status put_items(Printer& printer, std::string_view open, const std::vector<Value>& items,
                       std::string_view close) {
  FRUGAL_RETURN_IF_ERROR(printer.put(open));
  bool first = true;
  for (const Value& item : items) {
    if (!first) FRUGAL_RETURN_IF_ERROR(printer.put(", "));
    first = false;
    FRUGAL_RETURN_IF_ERROR(put_value(printer, item));
  }
  return printer.put(close);
}

absl::Status put_sequence(Printer& printer, const Sequence& sequence) {
  switch (sequence.type) {
    case Sequence::Type::kList:
      return put_items(printer, "[", sequence.items, "]");
    case Sequence::Type::kTuple:
      return put_items(printer, "(", sequence.items, sequence.items.size() == 1 ? ",)" : ")");
    case Sequence::Type::kKeys:
      return put_items(printer, "dict_keys([", sequence.items, "])");
    case Sequence::Type::kValues:
      return put_items(printer, "dict_values([", sequence.items, "])");
    case Sequence::Type::kItems:
      return put_items(printer, "dict_items([", sequence.items, "])");
    case Sequence::Type::kRange:
      break;
  }
  const std::string step = sequence.step == 1 ? "" : base::str_cat(", ", sequence.step);
  return printer.put(base::str_cat("range(", sequence.start, ", ", sequence.stop, step, ")"));
}

absl::Status put_dictionary(Printer& printer, const Dictionary& dictionary) {
  FRUGAL_RETURN_IF_ERROR(printer.put("{"));
  bool first = true;
  for (const auto& [key, value] : dictionary.entries) {
    if (!first) FRUGAL_RETURN_IF_ERROR(printer.put(", "));
    first = false;
    FRUGAL_RETURN_IF_ERROR(put_value(printer, key));
    FRUGAL_RETURN_IF_ERROR(printer.put(": "));
    FRUGAL_RETURN_IF_ERROR(put_value(printer, value));
  }
  return printer.put("}");
}

absl::Status put_value(Printer& printer, const Value& value) {
  if (value.is<None>()) return printer.put("None");
  if (value.is<Undefined>()) return printer.put("Undefined");
  if (const auto* boolean = value.as<bool>()) return printer.put(*boolean ? "True" : "False");
  if (const auto* integer = value.as<int64_t>()) return printer.put(std::to_string(*integer));
  if (const auto* number = value.as<double>()) return printer.put(represent_float(*number));
  if (const auto* text = value.as<Text>()) {
    const std::string quoted = represent_text((*text)->bytes);
    return printer.put((*text)->safe ? base::str_cat("Markup(", quoted, ")") : quoted);
  }
  if (const auto* sequence = value.as<const Sequence*>()) return put_sequence(printer, **sequence);
  if (const auto* dictionary = value.as<const Dictionary*>())
    return put_dictionary(printer, **dictionary);
  if (const auto* object = value.as<Object*>()) {
    FRUGAL_ASSIGN_OR_RETURN(const std::string text, (*object)->print());
    return printer.put(text);
  }
  if (value.is<Iterator*>())
    return base::unimplemented("a generator is printed; write it through '|list' or '|join'");
  return base::unimplemented("a namespace is printed, or within a list that is");
}

// \uXXXX, a pair of surrogates above U+FFFF.
std::string json_escape(char32_t character) {
  const auto unit = [](uint32_t code) {
    std::array<char, 8> text{};
    std::snprintf(text.data(), text.size(), "\\u%04x", code & 0xFFFFu);
    return std::string(text.data());
  };
  if (character < 0x10000) return unit(character);
  const uint32_t rest = character - 0x10000;
  return unit(0xD800 + (rest >> 10)) + unit(0xDC00 + (rest & 0x3FF));
}

std::string json_text(std::string_view text, bool ensure_ascii) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t character = next_character(text, at);
    constexpr std::string_view kShort = "\"\"\\\\\nn\rr\tt\bb\ff";  // character, then its letter
    const size_t found =
        character < 0x80 ? kShort.find(static_cast<char>(character)) : std::string_view::npos;
    if (character == '"' || character == '\\' ||
        (character < 0x20 && found != std::string_view::npos)) {
      out += '\\';
      out += kShort[found + 1];
    } else if (character < 0x20 || (ensure_ascii && character > 0x7E)) {
      out += json_escape(character);
    } else {
      out += text.substr(begin, at - begin);
    }
  }
  return out + "\"";
}

std::string json_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return represent_float(value);
}

// The text of a scalar; absent for others.
std::optional<std::string> json_scalar(const Value& value, bool ensure_ascii) {
  if (value.is<None>()) return "null";
  if (const auto* boolean = value.as<bool>()) return *boolean ? "true" : "false";
  if (const auto* integer = value.as<int64_t>()) return std::to_string(*integer);
  if (const auto* number = value.as<double>()) return json_float(*number);
  if (value.is<Text>()) return json_text(value.text(), ensure_ascii);
  return std::nullopt;
}

class JsonPrinter {
 public:
  JsonPrinter(Workspace& workspace, const JsonStyle& style) : printer_(workspace), style_(style) {}

  absl::Status put(const Value& value, int level) {
    if (const auto scalar = json_scalar(value, style_.ensure_ascii)) return printer_.put(*scalar);
    if (const auto* sequence = value.as<const Sequence*>()) {
      const auto type = (*sequence)->type;
      if (type == Sequence::Type::kList || type == Sequence::Type::kTuple)
        return put_list((*sequence)->items, level);
    }
    if (const auto* dictionary = value.as<const Dictionary*>())
      return put_dictionary(**dictionary, level);
    return base::invalid_argument("object of type ", type_name(value), " has no JSON", note(value));
  }
  std::string take() { return printer_.take(); }

 private:
  static std::string note(const Value& value) {
    const auto* undefined = value.as<Undefined>();
    return undefined == nullptr ? "" : base::str_cat(": ", *undefined->message);
  }

  absl::Status put_break(int level) {
    if (!style_.indent) return absl::OkStatus();
    FRUGAL_RETURN_IF_ERROR(printer_.put("\n"));
    for (int i = 0; i < level; ++i) FRUGAL_RETURN_IF_ERROR(printer_.put(*style_.indent));
    return absl::OkStatus();
  }

  absl::Status put_list(const std::vector<Value>& items, int level) {
    if (items.empty()) return printer_.put("[]");
    FRUGAL_RETURN_IF_ERROR(printer_.put("["));
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) FRUGAL_RETURN_IF_ERROR(printer_.put(style_.item_separator));
      FRUGAL_RETURN_IF_ERROR(put_break(level + 1));
      FRUGAL_RETURN_IF_ERROR(put(items[i], level + 1));
    }
    FRUGAL_RETURN_IF_ERROR(put_break(level));
    return printer_.put("]");
  }

  absl::Status put_key(const Value& key) {
    if (key.is<Text>()) return printer_.put(json_text(key.text(), style_.ensure_ascii));
    const auto scalar = json_scalar(key, style_.ensure_ascii);
    if (!scalar)
      return base::invalid_argument("a key of JSON must be a text or a number, not ",
                                    type_name(key));
    return printer_.put(base::str_cat("\"", *scalar, "\""));
  }

  absl::Status put_dictionary(const Dictionary& dictionary, int level) {
    if (dictionary.entries.empty()) return printer_.put("{}");
    auto entries = dictionary.entries;
    if (style_.sort_keys)
      FRUGAL_RETURN_IF_ERROR(sort_by(
          printer_.workspace(), entries,
          [](const std::pair<Value, Value>& entry) -> const Value& { return entry.first; }, false));
    FRUGAL_RETURN_IF_ERROR(printer_.put("{"));
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) FRUGAL_RETURN_IF_ERROR(printer_.put(style_.item_separator));
      FRUGAL_RETURN_IF_ERROR(put_break(level + 1));
      FRUGAL_RETURN_IF_ERROR(put_key(entries[i].first));
      FRUGAL_RETURN_IF_ERROR(printer_.put(style_.key_separator));
      FRUGAL_RETURN_IF_ERROR(put(entries[i].second, level + 1));
    }
    FRUGAL_RETURN_IF_ERROR(put_break(level));
    return printer_.put("}");
  }

  Printer printer_;
  const JsonStyle& style_;
};

}  // namespace

std::string represent_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 64> buffer{};
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                    std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<size_t>(result.ptr - buffer.data()));
  const size_t e = text.find('e');
  int exponent = 0;
  const std::string_view power = text.substr(text[e + 1] == '+' ? e + 2 : e + 1);
  std::from_chars(power.data(), power.data() + power.size(), exponent);
  const bool negative = text.front() == '-';
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  std::string out = negative ? "-" : "";
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out += "." + digits.substr(1);
    std::array<char, 16> tail{};
    std::snprintf(tail.data(), tail.size(), "e%c%02d", exponent < 0 ? '-' : '+',
                  std::abs(exponent));
    return out + tail.data();
  }
  if (exponent < 0)
    return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1)
    return out + digits + std::string(static_cast<size_t>(exponent) + 1 - digits.size(), '0') +
           ".0";
  const auto whole = static_cast<size_t>(exponent) + 1;
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string represent_text(std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos;
  const char quote = single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  const auto escape = [&](const char* format, char32_t character) {
    std::array<char, 16> buffer{};
    std::snprintf(buffer.data(), buffer.size(), format, static_cast<unsigned>(character));
    out += buffer.data();
  };
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t character = next_character(text, at);
    if (character == '\n') {
      out += "\\n";
    } else if (character == '\r') {
      out += "\\r";
    } else if (character == '\t') {
      out += "\\t";
    } else if (character == '\\' || character == static_cast<char32_t>(quote)) {
      out += '\\';
      out += static_cast<char>(character);
    } else if (is_printable(character)) {
      out += text.substr(begin, at - begin);
    } else {
      escape(character < 0x100     ? "\\x%02x"
             : character < 0x10000 ? "\\u%04x"
                                   : "\\U%08x",
             character);
    }
  }
  out += quote;
  return out;
}

absl::StatusOr<std::string> to_text(Workspace& workspace, const Value& value) {
  if (value.is<Text>()) {
    FRUGAL_RETURN_IF_ERROR(workspace.scan(value.text().size()));
    return std::string(value.text());
  }
  if (value.is<Undefined>()) return std::string();
  return represent(workspace, value);
}

absl::StatusOr<std::string> represent(Workspace& workspace, const Value& value) {
  Printer printer(workspace);
  FRUGAL_RETURN_IF_ERROR(put_value(printer, value));
  return printer.take();
}

absl::StatusOr<std::string> to_json(Workspace& workspace, const Value& value,
                                    const JsonStyle& style) {
  JsonPrinter printer(workspace, style);
  FRUGAL_RETURN_IF_ERROR(printer.put(value, 0));
  return printer.take();
}

}  // namespace frugal::chat
