// Tested by: tests/chat/template_test.cpp
#include "chat/formatting.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "chat/operations.h"
#include "chat/printing.h"
#include "chat/unicode.h"

namespace frugal::chat {
namespace {

constexpr int64_t kMaxDigits = 100;  // behind the point

struct Spec {
  std::string fill = " ";
  char align = 0;  // < > ^ =; 0: as the type has it
  char sign = '-';
  bool alternate = false;
  int64_t width = 0;
  int64_t precision = -1;
  char grouping = 0;
  char type = 0;
};

absl::StatusOr<std::string> pad(Workspace& workspace, std::string text, const Spec& spec,
                                char align) {
  const int64_t missing = spec.width - count_characters(text);
  if (missing <= 0) return text;
  int64_t before = align == '<' ? 0 : missing;
  if (align == '^') before = missing / 2;
  FRUGAL_ASSIGN_OR_RETURN(const std::string left, repeated(workspace, spec.fill, before));
  FRUGAL_ASSIGN_OR_RETURN(const std::string right,
                          repeated(workspace, spec.fill, missing - before));
  if (align != '=') return left + text + right;
  // Behind the sign and the prefix of a base.
  size_t head = !text.empty() && (text[0] == '-' || text[0] == '+' || text[0] == ' ') ? 1 : 0;
  if (text.size() > head + 1 && text[head] == '0' &&
      std::string_view("xXob").find(text[head + 1]) != std::string_view::npos)
    head += 2;
  return text.substr(0, head) + left + text.substr(head);
}

absl::StatusOr<std::string> put_text(Workspace& workspace, std::string text, const Spec& spec) {
  if (spec.precision >= 0 && spec.precision < count_characters(text))
    text.resize(byte_of_character(text, spec.precision));
  return pad(workspace, std::move(text), spec, spec.align == 0 ? '<' : spec.align);
}

// Commas or underscores between groups of three digits, in front of a point.
std::string grouped(std::string digits, char separator) {
  const size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
  for (size_t at = whole; at > 3; at -= 3) digits.insert(at - 3, 1, separator);
  return digits;
}

absl::StatusOr<std::string> put_number(Workspace& workspace, bool negative, std::string digits,
                                       const Spec& spec) {
  if (spec.grouping != 0) digits = grouped(std::move(digits), spec.grouping);
  const std::string sign = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  return pad(workspace, sign + digits, spec, spec.align == 0 ? '>' : spec.align);
}

absl::StatusOr<std::string> put_integer(Workspace& workspace, int64_t value, const Spec& spec) {
  uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  int radix = 10;
  std::string prefix;
  if (spec.type == 'x' || spec.type == 'X') radix = 16, prefix = spec.type == 'x' ? "0x" : "0X";
  if (spec.type == 'o') radix = 8, prefix = "0o";
  if (spec.type == 'b') radix = 2, prefix = "0b";
  std::array<char, 72> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), magnitude, radix);
  std::string digits(buffer.data(), end.ptr);
  if (spec.type == 'X')
    std::transform(digits.begin(), digits.end(), digits.begin(),
                   [](char c) { return c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c; });
  if (spec.grouping != 0 && radix != 10)
    return base::unimplemented("groups of digits in another base than ten");
  return put_number(workspace, value < 0, (spec.alternate ? prefix : "") + digits, spec);
}

absl::StatusOr<std::string> put_float(Workspace& workspace, double value, Spec spec) {
  if (spec.alternate) return base::unimplemented("'#' for a number with a point");
  if (spec.precision > kMaxDigits)
    return base::unimplemented("more than ", kMaxDigits, " digits behind the point");
  const bool percent = spec.type == '%';
  if (spec.type == 0) {
    if (spec.precision >= 0)
      return base::unimplemented("a precision without a type; give 'f', 'e' or 'g'");
    return put_number(workspace, std::signbit(value) && !std::isnan(value),
                      represent_float(std::fabs(value)), spec);
  }
  if (percent) value *= 100;
  const std::string conversion = base::str_cat("%.*", std::string(1, percent ? 'f' : spec.type));
  std::array<char, 512> buffer{};
  const int precision = spec.precision < 0 ? 6 : static_cast<int>(spec.precision);
  std::snprintf(buffer.data(), buffer.size(), conversion.c_str(), precision, std::fabs(value));
  return put_number(workspace, std::signbit(value) && !std::isnan(value),
                    base::str_cat(buffer.data(), percent ? "%" : ""), spec);
}

// -- "%s" % values

class PercentFormat {
 public:
  PercentFormat(Workspace& workspace, std::string_view format, const Value& values)
      : workspace_(workspace), format_(format), values_(values) {
    const auto* sequence = values.as<const Sequence*>();
    if (sequence != nullptr && (*sequence)->type == Sequence::Type::kTuple) tuple_ = *sequence;
  }

  absl::StatusOr<std::string> run() {
    std::string out;
    while (at_ < format_.size()) {
      const size_t found = std::min(format_.find('%', at_), format_.size());
      FRUGAL_RETURN_IF_ERROR(workspace_.charge(static_cast<int64_t>(found - at_)));
      out += format_.substr(at_, found - at_);
      at_ = found + 1;
      if (found == format_.size()) break;
      FRUGAL_ASSIGN_OR_RETURN(const std::string text, conversion());
      FRUGAL_RETURN_IF_ERROR(workspace_.charge(static_cast<int64_t>(text.size())));
      out += text;
    }
    const size_t given = tuple_ != nullptr ? tuple_->items.size() : 1;
    const bool mapping =
        values_.is<const Dictionary*>() || (values_.is<const Sequence*>() && tuple_ == nullptr);
    if (used_ < given && !mapping)
      return base::invalid_argument("not all values were used by the format");
    return out;
  }

 private:
  char peek() const { return at_ < format_.size() ? format_[at_] : '\0'; }

  absl::StatusOr<Value> next() {
    if (named_) return *named_;
    const size_t index = used_++;
    if (tuple_ == nullptr && index == 0) return values_;
    if (tuple_ != nullptr && index < tuple_->items.size()) return tuple_->items[index];
    return base::invalid_argument("fewer values than the format needs");
  }

  absl::StatusOr<int64_t> number() {
    if (peek() == '*') return base::unimplemented("'*' as a width in a format");
    int64_t value = 0;
    while (peek() >= '0' && peek() <= '9') {
      value = value * 10 + (format_[at_++] - '0');
      if (value > (int64_t{1} << 40)) return base::resource_exhausted("a width of ", value);
    }
    return value;
  }

  absl::Status name() {
    named_.reset();
    if (peek() != '(') return absl::OkStatus();
    const size_t end = format_.find(')', at_);
    const auto* dictionary = values_.as<const Dictionary*>();
    if (end == std::string_view::npos || dictionary == nullptr)
      return base::invalid_argument("'%(name)' needs a dictionary and a ')'");
    const std::string key(format_.substr(at_ + 1, end - at_ - 1));
    FRUGAL_ASSIGN_OR_RETURN(const Value wanted, workspace_.text(key));
    FRUGAL_ASSIGN_OR_RETURN(const Value* found, find_key(workspace_, **dictionary, wanted));
    if (found == nullptr) return base::invalid_argument("the format wants '", key, "'");
    named_ = *found;
    at_ = end + 1;
    return absl::OkStatus();
  }

  absl::StatusOr<Spec> spec() {
    Spec spec;
    bool left = false, zero = false;
    for (; std::string_view("-+ #0").find(peek()) != std::string_view::npos && peek() != 0; ++at_) {
      left |= peek() == '-';
      zero |= peek() == '0';
      spec.alternate |= peek() == '#';
      if (peek() == '+' || (peek() == ' ' && spec.sign != '+')) spec.sign = peek();
    }
    FRUGAL_ASSIGN_OR_RETURN(spec.width, number());
    if (peek() == '.') {
      ++at_;
      FRUGAL_ASSIGN_OR_RETURN(spec.precision, number());
    }
    while (peek() == 'l' || peek() == 'h' || peek() == 'L') ++at_;
    spec.align = left ? '<' : zero ? '=' : '>';
    if (zero && !left) spec.fill = "0";
    return spec;
  }

  absl::StatusOr<std::string> conversion() {
    FRUGAL_RETURN_IF_ERROR(name());
    FRUGAL_ASSIGN_OR_RETURN(Spec wanted, spec());
    const char type = peek();
    ++at_;
    if (type == '%') return std::string("%");
    if (type == 0) return base::invalid_argument("incomplete format");
    FRUGAL_ASSIGN_OR_RETURN(const Value value, next());
    if (type == 's' || type == 'r') {
      wanted.fill = " ";
      if (wanted.align == '=') wanted.align = '>';
      FRUGAL_ASSIGN_OR_RETURN(std::string text, type == 's' ? to_text(workspace_, value)
                                                            : represent(workspace_, value));
      return put_text(workspace_, std::move(text), wanted);
    }
    wanted.type = type;
    return put(value, wanted);
  }

  absl::StatusOr<std::string> put(const Value& value, Spec wanted) {
    if (value.is<Undefined>()) return base::invalid_argument(*value.as<Undefined>()->message);
    const auto* number = value.as<double>();
    std::optional<int64_t> integer;
    if (const auto* held = value.as<int64_t>()) integer = *held;
    if (const auto* held = value.as<bool>()) integer = *held ? 1 : 0;
    if (number == nullptr && !integer)
      return base::invalid_argument("%", std::string(1, wanted.type), " needs a number, found a ",
                                    type_name(value));
    switch (wanted.type) {
      case 'd':
      case 'i':
      case 'u':
        wanted.type = 'd';
        if (number != nullptr) {
          if (!(std::fabs(*number) < 9.2e18))
            return base::unimplemented("a number beyond 64 bits as an integer");
          integer = static_cast<int64_t>(*number);
        }
        break;
      case 'x':
      case 'X':
      case 'o':
        if (!integer) return base::invalid_argument("%x and %o need an integer");
        break;
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        return put_float(workspace_, number != nullptr ? *number : static_cast<double>(*integer),
                         wanted);
      default:
        return base::unimplemented("the conversion '%", std::string(1, wanted.type),
                                   "' is not supported by frugal");
    }
    if (wanted.precision >= 0) return base::unimplemented("a precision for an integer");
    return put_integer(workspace_, *integer, wanted);
  }

  Workspace& workspace_;
  std::string_view format_;
  const Value& values_;
  const Sequence* tuple_ = nullptr;
  std::optional<Value> named_;
  size_t at_ = 0;
  size_t used_ = 0;
};

// -- "{}".format(values)

// [[fill]align][sign][#][0][width][,][.precision][type]
absl::StatusOr<Spec> parse_spec(std::string_view text) {
  const std::string whole(text);
  Spec spec;
  constexpr std::string_view kAligns = "<>^=";
  size_t fill = 0;
  if (!text.empty()) next_character(text, fill);
  if (fill < text.size() && kAligns.find(text[fill]) != std::string_view::npos) {
    spec.fill = std::string(text.substr(0, fill));
    spec.align = text[fill];
    text.remove_prefix(fill + 1);
  } else if (!text.empty() && kAligns.find(text[0]) != std::string_view::npos) {
    spec.align = text[0];
    text.remove_prefix(1);
  }
  const auto take = [&](std::string_view one_of) {
    if (text.empty() || one_of.find(text[0]) == std::string_view::npos) return '\0';
    const char found = text[0];
    text.remove_prefix(1);
    return found;
  };
  const auto number = [&](int64_t& value) {
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec == std::errc()) text.remove_prefix(static_cast<size_t>(result.ptr - text.data()));
    return result.ec;
  };
  if (const char sign = take("+- ")) spec.sign = sign;
  spec.alternate = take("#") != 0;
  if (take("0") != 0 && spec.align == 0) {
    spec.fill = "0";
    spec.align = '=';
  }
  if (!text.empty() && text[0] >= '0' && text[0] <= '9' && number(spec.width) != std::errc())
    return base::resource_exhausted("the width of '", whole, "'");
  spec.grouping = take(",_");
  if (take(".") != 0 &&
      (text.empty() || text[0] < '0' || text[0] > '9' || number(spec.precision) != std::errc()))
    return base::invalid_argument("the format '", whole, "' lacks its precision");
  spec.type = take("sdxXobeEfFgG%");
  if (!text.empty())
    return base::unimplemented("the format '", whole, "' is not supported by frugal");
  return spec;
}

absl::StatusOr<std::string> put_formatted(Workspace& workspace, const Value& value,
                                          std::string_view spec_text) {
  if (spec_text.empty()) return to_text(workspace, value);
  FRUGAL_ASSIGN_OR_RETURN(const Spec spec, parse_spec(spec_text));
  if (value.is<Text>()) {
    if ((spec.type != 0 && spec.type != 's') || spec.align == '=' || spec.grouping != 0)
      return base::invalid_argument("the format '", spec_text, "' is not for texts");
    return put_text(workspace, std::string(value.text()), spec);
  }
  std::optional<int64_t> integer;
  if (const auto* held = value.as<int64_t>()) integer = *held;
  if (const auto* held = value.as<bool>(); held != nullptr && spec.type != 0)
    integer = *held ? 1 : 0;
  const bool of_float =
      std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos && spec.type != 0;
  if (integer && !of_float) {
    if (spec.precision >= 0 || spec.type == 's')
      return base::invalid_argument("the format '", spec_text, "' is not for integers");
    return put_integer(workspace, *integer, spec);
  }
  if (integer) return put_float(workspace, static_cast<double>(*integer), spec);
  if (const auto* number = value.as<double>()) {
    if (spec.type != 0 && !of_float)
      return base::invalid_argument("the format '", spec_text, "' is not for floats");
    return put_float(workspace, *number, spec);
  }
  return base::unimplemented("the format '", spec_text, "' of a ", type_name(value));
}

class BraceFormat {
 public:
  BraceFormat(Workspace& workspace, std::string_view format, const Arguments& arguments)
      : workspace_(workspace), format_(format), arguments_(arguments) {}

  absl::StatusOr<std::string> run() {
    std::string out;
    for (size_t at = 0; at < format_.size();) {
      const char c = format_[at];
      if ((c == '{' || c == '}') && at + 1 < format_.size() && format_[at + 1] == c) {
        out += c;
        at += 2;
      } else if (c == '}') {
        return base::invalid_argument("a '}' without its '{' in a format");
      } else if (c == '{') {
        const size_t end = format_.find('}', at);
        if (end == std::string_view::npos)
          return base::invalid_argument("a '{' without its '}' in a format");
        FRUGAL_ASSIGN_OR_RETURN(const std::string text,
                                field(format_.substr(at + 1, end - at - 1)));
        FRUGAL_RETURN_IF_ERROR(workspace_.charge(static_cast<int64_t>(text.size())));
        out += text;
        at = end + 1;
      } else {
        out += c;
        ++at;
      }
    }
    return out;
  }

 private:
  // name[!conversion][:format]
  absl::StatusOr<std::string> field(std::string_view text) {
    if (text.find('{') != std::string_view::npos)
      return base::unimplemented("a format within a format");
    const size_t colon = std::min(text.find(':'), text.size());
    const std::string_view spec = text.substr(std::min(colon + 1, text.size()));
    std::string_view name = text.substr(0, colon);
    char conversion = 0;
    if (const size_t mark = name.find('!'); mark != std::string_view::npos) {
      if (name.size() != mark + 2 || (name[mark + 1] != 'r' && name[mark + 1] != 's'))
        return base::unimplemented("the conversion '", name.substr(mark),
                                   "' is not supported by frugal");
      conversion = name[mark + 1];
      name = name.substr(0, mark);
    }
    FRUGAL_ASSIGN_OR_RETURN(Value value, resolve(name));
    if (conversion == 0) return put_formatted(workspace_, value, spec);
    FRUGAL_ASSIGN_OR_RETURN(std::string shown, conversion == 'r' ? represent(workspace_, value)
                                                                 : to_text(workspace_, value));
    FRUGAL_ASSIGN_OR_RETURN(const Value converted, workspace_.text(std::move(shown)));
    return put_formatted(workspace_, converted, spec);
  }

  // "0.role[key]"
  absl::StatusOr<Value> resolve(std::string_view name) {
    size_t end = std::min(name.find_first_of(".["), name.size());
    FRUGAL_ASSIGN_OR_RETURN(Value value, argument(name.substr(0, end)));
    while (end < name.size()) {
      const bool attribute = name[end] == '.';
      const size_t begin = end + 1;
      end = attribute ? std::min(name.find_first_of(".[", begin), name.size())
                      : name.find(']', begin);
      if (end == std::string_view::npos || begin == end)
        return base::invalid_argument("the field '", name, "' of a format");
      const std::string part(name.substr(begin, end - begin));
      if (!attribute) ++end;
      if (attribute) {
        FRUGAL_ASSIGN_OR_RETURN(const Value member, workspace_.text(part));
        FRUGAL_ASSIGN_OR_RETURN(value, get_attribute(workspace_, value, member));
        continue;
      }
      int64_t index = 0;
      const auto number = std::from_chars(part.data(), part.data() + part.size(), index);
      Value key(index);
      if (number.ec != std::errc() || number.ptr != part.data() + part.size()) {
        FRUGAL_ASSIGN_OR_RETURN(key, workspace_.text(part));
      }
      FRUGAL_ASSIGN_OR_RETURN(value, get_item(workspace_, value, key));
    }
    return value;
  }

  absl::StatusOr<Value> argument(std::string_view name) {
    size_t index = next_;
    const auto number = std::from_chars(name.data(), name.data() + name.size(), index);
    if (name.empty()) {
      ++next_;
    } else if (number.ec != std::errc() || number.ptr != name.data() + name.size()) {
      for (const auto& [key, value] : arguments_.keywords) {
        if (key == name) return value;
      }
      return base::invalid_argument("the format wants '", name, "'");
    }
    if (index >= arguments_.positional.size())
      return base::invalid_argument("fewer values than the format needs");
    return arguments_.positional[index];
  }

  Workspace& workspace_;
  std::string_view format_;
  const Arguments& arguments_;
  size_t next_ = 0;
};

}  // namespace

absl::StatusOr<Value> format_percent(Workspace& workspace, const Value& format,
                                     const Value& values) {
  if ((*format.as<Text>())->safe) return base::unimplemented("'%' after '|safe'");
  PercentFormat percent(workspace, format.text(), values);
  FRUGAL_ASSIGN_OR_RETURN(std::string out, percent.run());
  return workspace.text(std::move(out));
}

absl::StatusOr<Value> format_braces(Workspace& workspace, const Value& format,
                                    const Arguments& arguments) {
  BraceFormat braces(workspace, format.text(), arguments);
  FRUGAL_ASSIGN_OR_RETURN(std::string out, braces.run());
  return workspace.text(std::move(out));
}

}  // namespace frugal::chat
