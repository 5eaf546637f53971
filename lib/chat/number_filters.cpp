// Tested by: tests/chat/template_test.cpp
// Filters that make numbers.
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "chat/arguments.h"
#include "chat/filter_table.h"
#include "chat/operations.h"
#include "chat/unicode.h"

namespace frugal::chat {
namespace {

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

absl::StatusOr<Value> as_integer(Workspace& workspace, const Value& value,
                                 const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"default", "base"}));
  const Value fallback = bound[0] == nullptr ? Value(int64_t{0}) : *bound[0];
  FRUGAL_ASSIGN_OR_RETURN(const int64_t base_wanted, integer_or(bound[1], 10, "base"));
  if (value.is<Undefined>()) return base::invalid_argument(*value.as<Undefined>()->message);
  if (value.is<int64_t>()) return value;
  if (const auto* boolean = value.as<bool>()) return Value(int64_t{*boolean ? 1 : 0});
  if (const auto* number = value.as<double>()) return whole(*number, fallback);
  if (!value.is<Text>()) return fallback;
  FRUGAL_RETURN_IF_ERROR(workspace.scan(value.text().size() * 8));
  return integer_of_text(value.text(), base_wanted, fallback);
}

absl::StatusOr<Value> as_float(Workspace& workspace, const Value& value,
                               const Arguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"default"}));
  const Value fallback = bound[0] == nullptr ? Value(0.0) : *bound[0];
  if (value.is<Undefined>()) return base::invalid_argument(*value.as<Undefined>()->message);
  if (const auto* integer = value.as<int64_t>()) return Value(static_cast<double>(*integer));
  if (const auto* boolean = value.as<bool>()) return Value(*boolean ? 1.0 : 0.0);
  if (value.is<double>()) return value;
  if (!value.is<Text>()) return fallback;
  FRUGAL_RETURN_IF_ERROR(workspace.scan(value.text().size() * 8));
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

constexpr Filter kNumberFilters[] = {
    {"abs", absolute},
    {"float", as_float},
    {"int", as_integer},
    {"round", rounded},
};

}  // namespace

std::span<const Filter> number_filters() { return kNumberFilters; }

}  // namespace frugal::chat
