// Tested by: tests/artifact/gguf_config_reader_test.cpp
#include "artifact/gguf/gguf_values.h"

#include <charconv>
#include <limits>
#include <type_traits>

#include "base/text.h"

namespace frugal::artifact {
namespace {

template <typename T>
constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

template <typename T>
struct IsArray : std::false_type {};
template <typename T>
struct IsArray<std::vector<T>> : std::true_type {};

std::optional<int64_t> as_integer(const format::GgufValue& value) {
  return std::visit(
      [](const auto& held) -> std::optional<int64_t> {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, uint64_t>) {
          if (held > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
            return std::nullopt;
          return static_cast<int64_t>(held);
        } else if constexpr (kIsInteger<T>) {
          return static_cast<int64_t>(held);
        } else {
          return std::nullopt;
        }
      },
      value);
}

}  // namespace

double shortest_decimal(float value) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  double result = value;
  if (error == std::errc()) std::from_chars(text, end, result);
  return result;
}

absl::Status GgufValues::wrong(std::string_view key, std::string_view expected) const {
  return base::invalid_argument(where_, ": the key '", key, "' is of another type than expected (",
                                expected, ")");
}

absl::StatusOr<std::optional<int64_t>> GgufValues::integer(std::string_view key) const {
  const format::GgufValue* value = file_->find(key);
  if (value == nullptr) return std::nullopt;
  const std::optional<int64_t> result = as_integer(*value);
  if (!result) return wrong(key, "an integer");
  return result;
}

absl::StatusOr<std::optional<double>> GgufValues::number(std::string_view key) const {
  const format::GgufValue* value = file_->find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* single = std::get_if<float>(value))
    return std::optional(shortest_decimal(*single));
  if (const auto* wide = std::get_if<double>(value)) return std::optional(*wide);
  const std::optional<int64_t> integer = as_integer(*value);
  if (!integer) return wrong(key, "a number");
  return std::optional(static_cast<double>(*integer));
}

absl::StatusOr<std::optional<bool>> GgufValues::boolean(std::string_view key) const {
  const format::GgufValue* value = file_->find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* held = std::get_if<bool>(value)) return std::optional(*held);
  return wrong(key, "a boolean");
}

absl::StatusOr<std::optional<std::string>> GgufValues::text(std::string_view key) const {
  const format::GgufValue* value = file_->find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* held = std::get_if<std::string>(value)) return std::optional(*held);
  return wrong(key, "a text");
}

absl::StatusOr<std::optional<std::vector<int64_t>>> GgufValues::integers(
    std::string_view key) const {
  const format::GgufValue* value = file_->find(key);
  if (value == nullptr) return std::nullopt;
  std::optional<std::vector<int64_t>> result = std::visit(
      [](const auto& held) -> std::optional<std::vector<int64_t>> {
        using T = std::decay_t<decltype(held)>;
        if constexpr (IsArray<T>::value) {
          using Element = typename T::value_type;
          if constexpr (std::is_integral_v<Element> && !std::is_same_v<Element, uint64_t>)
            return std::vector<int64_t>(held.begin(), held.end());
        }
        return std::nullopt;
      },
      *value);
  if (!result) return wrong(key, "an array of integers");
  return result;
}

absl::StatusOr<const std::vector<std::string>*> GgufValues::texts(std::string_view key) const {
  const format::GgufValue* value = file_->find(key);
  if (value == nullptr) return nullptr;
  const auto* held = std::get_if<std::vector<std::string>>(value);
  if (held == nullptr) return wrong(key, "an array of texts");
  return held;
}

absl::StatusOr<const std::vector<float>*> GgufValues::floats(std::string_view key) const {
  const format::GgufValue* value = file_->find(key);
  if (value == nullptr) return nullptr;
  const auto* held = std::get_if<std::vector<float>>(value);
  if (held == nullptr) return wrong(key, "an array of fp32 numbers");
  return held;
}

}  // namespace frugal::artifact
