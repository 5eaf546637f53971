#include "base/json.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/file.h"
#include "base/file_kind.h"

namespace frugal::base {
namespace {

constexpr size_t kMaxDepth = 128;

// Hands `text` to the parser and counts what it has taken: its events do not carry a position.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, size_t* taken) : at_(at), taken_(taken) {}
  const char& operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*taken_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  size_t* taken_;
};

std::string position(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const size_t line = 1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
  const size_t newline = before.rfind('\n');
  const size_t column =
      newline == std::string_view::npos ? before.size() : before.size() - newline - 1;
  return str_cat(line, ":", column + 1);
}

// Builds the tree. Members of an open object are gathered in a vector, because inserting into
// nlohmann's ordered map searches from the front each time: a vocabulary of 150,000 entries would
// take minutes.
class TreeBuilder : public nlohmann::json_sax<Json> {
 public:
  TreeBuilder(std::string_view text, std::string_view where, const size_t* taken)
      : text_(text), where_(where), taken_(taken) {}

  bool null() override { return place(nullptr); }
  bool boolean(bool value) override { return place(value); }
  bool number_integer(number_integer_t value) override { return place(value); }
  bool number_unsigned(number_unsigned_t value) override { return place(value); }
  bool number_float(number_float_t value, const string_t&) override { return place(value); }
  bool string(string_t& value) override { return place(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // no such thing in JSON text
  bool start_object(size_t) override { return open(true); }
  bool start_array(size_t) override { return open(false); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    Level& level = levels_.back();
    if (is_duplicate(level, name)) {
      return fail(key_begin(), str_cat("the key '", name, "' stands twice in one object"));
    }
    level.names.push_back(std::move(name));
    return true;
  }

  bool parse_error(size_t offset, const std::string&,
                   const nlohmann::detail::exception& error) override {
    std::string_view text = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: …": the place is already
    // in front.
    if (const size_t end = text.find("] "); end != std::string_view::npos)
      text.remove_prefix(end + 2);
    if (text.starts_with("parse error at line")) {
      if (const size_t end = text.find(": "); end != std::string_view::npos)
        text.remove_prefix(end + 2);
    }
    return fail(offset == 0 ? 0 : offset - 1, text);
  }

  absl::StatusOr<Json> result() && {
    if (!status_.ok()) return status_;
    if (!root_) return internal(where_, ": the JSON parser ended without a value");
    return *std::move(root_);
  }

 private:
  struct Level {
    bool is_object;
    std::vector<std::string> names;
    std::vector<Json> values;
    absl::flat_hash_set<std::string> seen;  // used from kLinear names on
  };
  static constexpr size_t kLinear = 16;

  bool fail(size_t offset, std::string_view what) {
    status_ = invalid_argument(where_, ":", position(text_, offset), ": ", what);
    return false;
  }

  static bool is_duplicate(Level& level, const std::string& name) {
    if (level.names.size() < kLinear) {
      return std::find(level.names.begin(), level.names.end(), name) != level.names.end();
    }
    if (level.seen.empty()) level.seen.insert(level.names.begin(), level.names.end());
    return !level.seen.insert(name).second;
  }

  // Where the key that was just read opens: its closing quote is the last character taken.
  size_t key_begin() const {
    size_t at = *taken_ - 1;
    while (at > 0) {
      at = text_.rfind('"', at - 1);
      size_t escapes = 0;
      while (escapes < at && text_[at - 1 - escapes] == '\\') ++escapes;
      if (escapes % 2 == 0) return at;
    }
    return at;
  }

  bool open(bool is_object) {
    if (levels_.size() >= kMaxDepth) {
      return fail(*taken_ - 1, str_cat("nested deeper than ", kMaxDepth, " levels"));
    }
    levels_.push_back(Level{is_object, {}, {}, {}});
    return true;
  }

  bool close() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    if (!level.is_object) return place(Json::array_t(std::move(level.values)));
    Json::object_t object;
    object.Container::reserve(level.values.size());
    for (size_t i = 0; i < level.values.size(); ++i) {
      object.Container::emplace_back(std::move(level.names[i]), std::move(level.values[i]));
    }
    return place(std::move(object));
  }

  template <typename T>
  bool place(T&& value) {
    if (levels_.empty()) {
      root_.emplace(std::forward<T>(value));
    } else {
      levels_.back().values.emplace_back(std::forward<T>(value));
    }
    return true;
  }

  std::string_view text_;
  std::string_view where_;
  const size_t* taken_;
  std::vector<Level> levels_;
  std::optional<Json> root_;
  absl::Status status_;
};

template <typename T>
struct TypeName;
template <>
struct TypeName<bool> {
  static constexpr const char* kText = "true or false";
};
template <>
struct TypeName<int64_t> {
  static constexpr const char* kText = "an integer of 64 bits";
};
template <>
struct TypeName<double> {
  static constexpr const char* kText = "a number";
};
template <>
struct TypeName<std::string> {
  static constexpr const char* kText = "a string";
};
template <>
struct TypeName<Json> {
  static constexpr const char* kText = "a value";
};

template <typename T>
std::optional<T> as(const Json& value) {
  if constexpr (std::is_same_v<T, Json>) {
    return value;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (value.is_boolean()) return value.get<bool>();
  } else if constexpr (std::is_same_v<T, int64_t>) {
    constexpr uint64_t kLargest = std::numeric_limits<int64_t>::max();
    if (value.is_number_unsigned() && value.get<uint64_t>() > kLargest) return std::nullopt;
    if (value.is_number_integer()) return value.get<int64_t>();
  } else if constexpr (std::is_same_v<T, double>) {
    if (value.is_number()) return value.get<double>();
  } else {
    if (value.is_string()) return value.get<std::string>();
  }
  return std::nullopt;
}

std::string shortened(const Json& value) {
  if (value.is_object()) return str_cat("an object of ", value.size(), " members");
  if (value.is_array()) return str_cat("an array of ", value.size(), " values");
  constexpr size_t kMaxShown = 60;
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kMaxShown) text = text.substr(0, kMaxShown) + "…";
  return text;
}

absl::StatusOr<const Json*> member(const Json& object, std::string_view key,
                                   std::string_view where) {
  if (!object.is_object()) {
    return invalid_argument(where, ": expected an object with the key '", key, "', found ",
                            shortened(object));
  }
  const auto found = object.find(std::string(key));
  return found == object.end() ? nullptr : &*found;
}

template <typename T>
absl::StatusOr<T> typed(const Json& value, std::string_view key, std::string_view where) {
  if (std::optional<T> result = as<T>(value)) return *std::move(result);
  return invalid_argument(where, ": '", key, "' is ", shortened(value), ", expected ",
                          TypeName<T>::kText);
}

}  // namespace

absl::StatusOr<Json> parse_json(std::string_view text, std::string_view where) {
  // The parser takes a zero byte for the end of its input and would accept whatever follows.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    return invalid_argument(where, ":", position(text, zero), ": a zero byte; expected JSON text");
  }
  size_t taken = 0;
  TreeBuilder builder(text, where, &taken);
  const std::span<const char> bytes(text);
  Json::sax_parse(CountingIterator(bytes.data(), &taken),
                  CountingIterator(bytes.data() + bytes.size(), &taken), &builder);
  return std::move(builder).result();
}

absl::StatusOr<Json> read_json(const std::filesystem::path& path, int64_t max_bytes) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, read_file(path, max_bytes));
  FRUGAL_RETURN_IF_ERROR(refuse_foreign(text, path));
  return parse_json(text, path.string());
}

template <typename T>
absl::StatusOr<T> json_get(const Json& object, std::string_view key, std::string_view where) {
  FRUGAL_ASSIGN_OR_RETURN(const Json* value, member(object, key, where));
  if (value == nullptr) {
    return invalid_argument(where, ": the key '", key, "' is missing; expected ",
                            TypeName<T>::kText);
  }
  return typed<T>(*value, key, where);
}

template <typename T>
absl::StatusOr<T> json_get_or(const Json& object, std::string_view key, T fallback,
                              std::string_view where) {
  FRUGAL_ASSIGN_OR_RETURN(const Json* value, member(object, key, where));
  if (value == nullptr || value->is_null()) return fallback;
  return typed<T>(*value, key, where);
}

#define FRUGAL_INSTANTIATE_(T)                                                             \
  template absl::StatusOr<T> json_get<T>(const Json&, std::string_view, std::string_view); \
  template absl::StatusOr<T> json_get_or<T>(const Json&, std::string_view, T, std::string_view);
FRUGAL_INSTANTIATE_(bool)
FRUGAL_INSTANTIATE_(int64_t)
FRUGAL_INSTANTIATE_(double)
FRUGAL_INSTANTIATE_(std::string)
FRUGAL_INSTANTIATE_(Json)
#undef FRUGAL_INSTANTIATE_

Json finite_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

}  // namespace frugal::base
