// What templates compute with: Python's values as far as templates meet them, and the workspace in
// which one rendering makes them, with a bound on how much it makes and does.
//
// Values do not change, but for the attributes of namespaces: the sandbox that chat templates run
// in refuses list.append and the like. All but texts live in the workspace and die with it, so
// that neither cycles through namespaces nor deep nesting matter when they go.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "chat/limits.h"

namespace frugal::chat {

struct TextData {
  std::string bytes;   // UTF-8
  int64_t length = 0;  // characters
  bool safe = false;   // made by `|safe` or `|escape`: HTML, to which `+` adds escaped text
};
using Text = std::shared_ptr<const TextData>;

struct Sequence;
struct Dictionary;
struct Namespace;
class Iterator;
class Object;

struct None {};
struct Undefined {
  std::shared_ptr<const std::string> message;  // what is said where it is used
};

class Value {
 public:
  Value() = default;  // None
  template <typename T>
    requires(!std::is_same_v<std::remove_cvref_t<T>, Value>)
  explicit Value(T value) : data_(std::move(value)) {}

  template <typename T>
  const T* as() const {
    return std::get_if<T>(&data_);
  }
  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  // The bytes of a text.
  std::string_view text() const { return (*as<Text>())->bytes; }

 private:
  std::variant<None, Undefined, bool, int64_t, double, Text, const Sequence*, const Dictionary*,
               Namespace*, Iterator*, Object*>
      data_;
};

struct Sequence {
  enum class Type { kList, kTuple, kKeys, kValues, kItems, kRange };
  Type type = Type::kList;
  std::vector<Value> items;
  int depth = 1;                          // 1 + the largest of what it holds
  int64_t start = 0, stop = 0, step = 1;  // of a range
};

struct Dictionary {
  std::vector<std::pair<Value, Value>> entries;  // keys: what Python can hash
  int depth = 1;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;
  Value* find(std::string_view name);
};

class Workspace;

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keywords;
};

// A generator: gives each item once.
class Iterator {
 public:
  // `source`: what it takes its items from, if from another one.
  explicit Iterator(const Iterator* source = nullptr)
      : depth_(source == nullptr ? 1 : source->depth_ + 1) {}
  virtual ~Iterator() = default;
  virtual absl::StatusOr<std::optional<Value>> next(Workspace& workspace) = 0;
  // Python's name of its type, as a message says it.
  virtual std::string_view type_name() const { return "generator"; }
  int depth() const { return depth_; }

 private:
  int depth_;
};

// Functions, macros, bound methods, and what has attributes of its own.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::string_view type_name() const = 0;
  // None: it has no such attribute.
  virtual absl::StatusOr<std::optional<Value>> attribute(Workspace& workspace,
                                                         std::string_view name);
  virtual absl::StatusOr<Value> call(Workspace& workspace, const Arguments& arguments);
  virtual bool callable() const { return false; }
  // What str() gives; errors where Python would print an address.
  virtual absl::StatusOr<std::string> print() const;
};

// Python's name of the type: "str", "dict", "NoneType".
std::string_view type_name(const Value& value);
// As Jinja names it where an attribute is missing: "dict object", "None".
std::string described_type(const Value& value);

// Makes values and counts. Errors of everything here: ResourceExhausted, where a limit is passed.
class Workspace {
 public:
  explicit Workspace(const Limits& limits) : limits_(limits) {}
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // Before so many bytes are allocated, or so much work is done.
  absl::Status charge(int64_t bytes);
  absl::Status work(int64_t steps);
  // Of going through so many bytes of text.
  absl::Status scan(size_t bytes) { return work(1 + static_cast<int64_t>(bytes / 64)); }
  // Of looking for a pattern in a text, at worst at each byte anew.
  absl::Status search(size_t bytes, size_t pattern_bytes);

  absl::StatusOr<Value> text(std::string bytes, bool safe = false);
  absl::StatusOr<Value> list(std::vector<Value> items);
  absl::StatusOr<Value> tuple(std::vector<Value> items);
  absl::StatusOr<Value> sequence(Sequence sequence);
  absl::StatusOr<Value> dictionary(std::vector<std::pair<Value, Value>> entries);
  absl::StatusOr<Value> from_json(const base::Json& json);

  absl::StatusOr<Namespace*> name_space();
  absl::StatusOr<Value> iterator(std::unique_ptr<Iterator> iterator);
  absl::StatusOr<Value> object(std::unique_ptr<Object> object);

  const Limits& limits() const { return limits_; }
  int64_t bytes_left() const { return limits_.value_bytes - bytes_; }

 private:
  Limits limits_;
  int64_t bytes_ = 0;
  int64_t steps_ = 0;
  std::deque<Sequence> sequences_;
  std::deque<Dictionary> dictionaries_;
  std::deque<Namespace> namespaces_;
  std::vector<std::unique_ptr<Iterator>> iterators_;
  std::vector<std::unique_ptr<Object>> objects_;
};

Value undefined(std::string message);

}  // namespace frugal::chat
