// Tested by: tests/chat/template_test.cpp
#include "chat/operations.h"

#include <cmath>
#include <compare>
#include <limits>

#include "chat/formatting.h"
#include "chat/methods.h"
#include "chat/printing.h"
#include "chat/unicode.h"

namespace frugal::chat {
namespace {

using Entries = std::vector<std::pair<Value, Value>>;

// bool and int, as Python's int; absent for others.
std::optional<int64_t> integer_of(const Value& value) {
  if (const auto* boolean = value.as<bool>()) return *boolean ? 1 : 0;
  if (const auto* integer = value.as<int64_t>()) return *integer;
  return std::nullopt;
}

// Exact for both kinds: long double holds every 64-bit integer on the machines we build for.
static_assert(std::numeric_limits<long double>::digits >= 64);
std::optional<long double> number_of(const Value& value) {
  if (const auto integer = integer_of(value)) return static_cast<long double>(*integer);
  if (const auto* number = value.as<double>()) return static_cast<long double>(*number);
  return std::nullopt;
}

absl::Status undefined_used(const Value& value) {
  return base::invalid_argument(*value.as<Undefined>()->message);
}

absl::Status no_operator(std::string_view op, const Value& left, const Value& right) {
  if (left.is<Undefined>()) return undefined_used(left);
  if (right.is<Undefined>()) return undefined_used(right);
  return base::invalid_argument("unsupported operand types for ", op, ": '", type_name(left),
                                "' and '", type_name(right), "'");
}

absl::Status overflow() {
  return base::unimplemented("an integer needs more than 64 bits; frugal computes with 64");
}

absl::StatusOr<bool> equal_items(Workspace& workspace, const std::vector<Value>& left,
                                 const std::vector<Value>& right) {
  if (left.size() != right.size()) return false;
  for (size_t i = 0; i < left.size(); ++i) {
    FRUGAL_ASSIGN_OR_RETURN(const bool equal, is_equal(workspace, left[i], right[i]));
    if (!equal) return false;
  }
  return true;
}

absl::StatusOr<bool> equal_sequences(Workspace& workspace, const Sequence& left,
                                     const Sequence& right) {
  if (&left == &right) return true;
  if (left.type != right.type) return false;
  switch (left.type) {
    case Sequence::Type::kList:
    case Sequence::Type::kTuple:
    case Sequence::Type::kRange:
      return equal_items(workspace, left.items, right.items);
    default:
      return base::unimplemented("views of dictionaries are compared; write them through '|list'");
  }
}

absl::StatusOr<bool> equal_dictionaries(Workspace& workspace, const Dictionary& left,
                                        const Dictionary& right) {
  if (&left == &right) return true;
  if (left.entries.size() != right.entries.size()) return false;
  for (const auto& [key, value] : left.entries) {
    FRUGAL_ASSIGN_OR_RETURN(const Value* other, find_key(workspace, right, key));
    if (other == nullptr) return false;
    FRUGAL_ASSIGN_OR_RETURN(const bool equal, is_equal(workspace, value, *other));
    if (!equal) return false;
  }
  return true;
}

absl::StatusOr<std::partial_ordering> order(Workspace& workspace, std::string_view op,
                                            const Value& left, const Value& right);

absl::StatusOr<std::partial_ordering> order_items(Workspace& workspace, std::string_view op,
                                                  const std::vector<Value>& left,
                                                  const std::vector<Value>& right) {
  for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    FRUGAL_ASSIGN_OR_RETURN(const bool equal, is_equal(workspace, left[i], right[i]));
    if (!equal) return order(workspace, op, left[i], right[i]);
  }
  return left.size() <=> right.size();
}

absl::StatusOr<std::partial_ordering> order(Workspace& workspace, std::string_view op,
                                            const Value& left, const Value& right) {
  FRUGAL_RETURN_IF_ERROR(workspace.work(1));
  const auto left_number = number_of(left), right_number = number_of(right);
  if (left_number && right_number) return *left_number <=> *right_number;
  if (left.is<Text>() && right.is<Text>()) {
    FRUGAL_RETURN_IF_ERROR(workspace.scan(std::min(left.text().size(), right.text().size())));
    return left.text() <=> right.text();  // bytes of UTF-8 are in the order of characters
  }
  const auto* left_items = left.as<const Sequence*>();
  const auto* right_items = right.as<const Sequence*>();
  if (left_items != nullptr && right_items != nullptr &&
      (*left_items)->type == (*right_items)->type && (*left_items)->type <= Sequence::Type::kTuple)
    return order_items(workspace, op, (*left_items)->items, (*right_items)->items);
  return no_operator(op, left, right);
}

// -- Arithmetic

absl::StatusOr<Value> add_texts(Workspace& workspace, const TextData& left, const TextData& right) {
  FRUGAL_RETURN_IF_ERROR(
      workspace.charge(static_cast<int64_t>(left.bytes.size() + right.bytes.size())));
  if (left.safe == right.safe) return workspace.text(left.bytes + right.bytes, left.safe);
  return workspace.text((left.safe ? left.bytes : escape_html(left.bytes)) +
                            (right.safe ? right.bytes : escape_html(right.bytes)),
                        true);
}

absl::StatusOr<Value> add_sequences(Workspace& workspace, const Sequence& left,
                                    const Sequence& right) {
  FRUGAL_RETURN_IF_ERROR(workspace.work(static_cast<int64_t>(left.items.size()) / 8));
  std::vector<Value> items = left.items;
  items.insert(items.end(), right.items.begin(), right.items.end());
  return workspace.sequence({.type = left.type, .items = std::move(items)});
}

// Charges for `count` pieces of `size` bytes.
absl::Status charge_pieces(Workspace& workspace, size_t size, int64_t count) {
  int64_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<int64_t>(size), count, &bytes))
    bytes = std::numeric_limits<int64_t>::max();
  return workspace.charge(bytes);
}

// Texts and lists, `count` times over.
absl::StatusOr<Value> repeat(Workspace& workspace, const Value& value, int64_t count) {
  if (const auto* text = value.as<Text>()) {
    FRUGAL_ASSIGN_OR_RETURN(std::string out, repeated(workspace, (*text)->bytes, count));
    return workspace.text(std::move(out), (*text)->safe);
  }
  const Sequence& sequence = **value.as<const Sequence*>();
  count = sequence.items.empty() ? 0 : std::max<int64_t>(count, 0);
  FRUGAL_RETURN_IF_ERROR(charge_pieces(workspace, sequence.items.size() * sizeof(Value), count));
  std::vector<Value> items;
  for (int64_t i = 0; i < count; ++i)
    items.insert(items.end(), sequence.items.begin(), sequence.items.end());
  return workspace.sequence({.type = sequence.type, .items = std::move(items)});
}

bool is_repeatable(const Value& value) {
  if (value.is<Text>()) return true;
  const auto* sequence = value.as<const Sequence*>();
  return sequence != nullptr && (*sequence)->type <= Sequence::Type::kTuple;
}

absl::Status division_by_zero() { return base::invalid_argument("division by zero"); }

int64_t floor_modulo(int64_t left, int64_t right) {
  if (right == -1) return 0;  // left % -1 may trap
  const int64_t rest = left % right;
  return rest != 0 && (rest < 0) != (right < 0) ? rest + right : rest;
}

absl::StatusOr<int64_t> integer_power(int64_t base_value, int64_t exponent) {
  int64_t result = 1;
  // 0, 1 and -1 would go on for as long as the exponent says.
  if (base_value == 0 || base_value == 1) return exponent == 0 ? 1 : base_value;
  if (base_value == -1) return exponent % 2 == 0 ? 1 : -1;
  for (int64_t i = 0; i < exponent; ++i) {
    if (__builtin_mul_overflow(result, base_value, &result)) return overflow();
  }
  return result;
}

absl::StatusOr<Value> integer_arithmetic(std::string_view op, int64_t left, int64_t right) {
  int64_t result = 0;
  bool overflows = false;
  if (op == "+") {
    overflows = __builtin_add_overflow(left, right, &result);
  } else if (op == "-") {
    overflows = __builtin_sub_overflow(left, right, &result);
  } else if (op == "*") {
    overflows = __builtin_mul_overflow(left, right, &result);
  } else if (op == "**") {
    if (right < 0 && left == 0) return division_by_zero();
    if (right < 0) return Value(std::pow(static_cast<double>(left), static_cast<double>(right)));
    FRUGAL_ASSIGN_OR_RETURN(result, integer_power(left, right));
  } else {
    if (right == 0) return division_by_zero();
    if (op == "/")
      return Value(
          static_cast<double>(static_cast<long double>(left) / static_cast<long double>(right)));
    const int64_t rest = floor_modulo(left, right);
    if (op == "%") return Value(rest);
    overflows = left == std::numeric_limits<int64_t>::min() && right == -1;
    // (left - rest) overflows no more than the quotient does.
    if (!overflows) result = left / right - (rest != 0 && (left < 0) != (right < 0) ? 1 : 0);
  }
  if (overflows) return overflow();
  return Value(result);
}

absl::StatusOr<Value> float_arithmetic(std::string_view op, double left, double right) {
  if (op == "+") return Value(left + right);
  if (op == "-") return Value(left - right);
  if (op == "*") return Value(left * right);
  if (op == "**") {
    if (left == 0 && right < 0) return division_by_zero();
    if (left < 0 && std::isfinite(right) && right != std::floor(right))
      return base::unimplemented("a negative number to a broken power is a complex one");
    return Value(std::pow(left, right));
  }
  if (right == 0) return division_by_zero();
  if (op == "/") return Value(left / right);
  double rest = std::fmod(left, right);
  if (rest != 0 && (rest < 0) != (right < 0))
    rest += right;
  else if (rest == 0)
    rest = std::copysign(0.0, right);
  if (op == "%") return Value(rest);
  const double quotient = (left - rest) / right;
  double whole = std::floor(quotient);
  if (quotient - whole > 0.5) whole += 1;
  return Value(quotient == 0 ? std::copysign(0.0, left / right) : whole);
}

// -- Iterators

class ItemIterator : public Iterator {
 public:
  explicit ItemIterator(const Sequence& sequence) : sequence_(sequence) {}
  absl::StatusOr<std::optional<Value>> next(Workspace& workspace) override {
    FRUGAL_RETURN_IF_ERROR(workspace.work(1));
    if (at_ == sequence_.items.size()) return std::nullopt;
    return sequence_.items[at_++];
  }

 private:
  const Sequence& sequence_;
  size_t at_ = 0;
};

class KeyIterator : public Iterator {
 public:
  explicit KeyIterator(const Dictionary& dictionary) : dictionary_(dictionary) {}
  absl::StatusOr<std::optional<Value>> next(Workspace& workspace) override {
    FRUGAL_RETURN_IF_ERROR(workspace.work(1));
    if (at_ == dictionary_.entries.size()) return std::nullopt;
    return dictionary_.entries[at_++].first;
  }

 private:
  const Dictionary& dictionary_;
  size_t at_ = 0;
};

class CharacterIterator : public Iterator {
 public:
  explicit CharacterIterator(Text text) : text_(std::move(text)) {}
  absl::StatusOr<std::optional<Value>> next(Workspace& workspace) override {
    FRUGAL_RETURN_IF_ERROR(workspace.work(1));
    if (at_ >= text_->bytes.size()) return std::nullopt;
    const size_t begin = at_;
    next_character(text_->bytes, at_);
    FRUGAL_ASSIGN_OR_RETURN(Value value, workspace.text(text_->bytes.substr(begin, at_ - begin)));
    return value;
  }

 private:
  Text text_;
  size_t at_ = 0;
};

class NoIterator : public Iterator {
 public:
  absl::StatusOr<std::optional<Value>> next(Workspace&) override { return std::nullopt; }
};

// -- Items

bool is_hashable(const Value& value) {
  if (value.is<const Dictionary*>()) return false;
  const auto* sequence = value.as<const Sequence*>();
  if (sequence == nullptr) return true;
  return (*sequence)->type == Sequence::Type::kTuple &&
         std::all_of((*sequence)->items.begin(), (*sequence)->items.end(), is_hashable);
}

absl::Status check_hashable(const Value& key) {
  if (is_hashable(key)) return absl::OkStatus();
  return base::invalid_argument("a ", type_name(key), " cannot be a key: it may change");
}

std::string missing(const Value& object, const Value& key) {
  if (key.is<Text>())
    return base::str_cat("'", described_type(object), "' has no attribute '", key.text(), "'");
  if (const auto* integer = key.as<int64_t>())
    return base::str_cat(described_type(object), " has no element ", *integer);
  return base::str_cat(described_type(object), " has no such element (a ", type_name(key), ")");
}

absl::StatusOr<Value> character_at(Workspace& workspace, const TextData& text, int64_t index) {
  if (text.length == static_cast<int64_t>(text.bytes.size()))  // ASCII
    return workspace.text(std::string(1, text.bytes[static_cast<size_t>(index)]), text.safe);
  FRUGAL_RETURN_IF_ERROR(workspace.scan(text.bytes.size()));
  size_t end = byte_of_character(text.bytes, index);
  const size_t begin = end;
  next_character(text.bytes, end);
  return workspace.text(text.bytes.substr(begin, end - begin), text.safe);
}

// object[key] of Python; absent where that raises TypeError or LookupError.
absl::StatusOr<std::optional<Value>> subscript(Workspace& workspace, const Value& object,
                                               const Value& key) {
  if (const auto* dictionary = object.as<const Dictionary*>()) {
    if (!is_hashable(key)) return std::nullopt;
    FRUGAL_ASSIGN_OR_RETURN(const Value* found, find_key(workspace, **dictionary, key));
    if (found == nullptr) return std::nullopt;
    return *found;
  }
  const auto wanted = integer_of(key);
  if (!wanted) return std::nullopt;
  const auto* text = object.as<Text>();
  const auto* sequence = object.as<const Sequence*>();
  if (text == nullptr && sequence == nullptr) return std::nullopt;
  if (sequence != nullptr && (*sequence)->type > Sequence::Type::kTuple &&
      (*sequence)->type != Sequence::Type::kRange)
    return std::nullopt;
  const int64_t count =
      text != nullptr ? (*text)->length : static_cast<int64_t>((*sequence)->items.size());
  const int64_t index = *wanted < 0 ? *wanted + count : *wanted;
  if (index < 0 || index >= count) return std::nullopt;
  if (sequence != nullptr) return (*sequence)->items[static_cast<size_t>(index)];
  FRUGAL_ASSIGN_OR_RETURN(Value value, character_at(workspace, **text, index));
  return value;
}

// What slice.indices gives.
struct Extent {
  int64_t start, stop, step;
  bool holds(int64_t at) const { return step > 0 ? at < stop : at > stop; }
};

absl::StatusOr<Extent> extent_of(int64_t count, const Value& start, const Value& stop,
                                 const Value& step) {
  const auto bound = [](const Value& value) -> absl::StatusOr<std::optional<int64_t>> {
    if (value.is<None>()) return std::nullopt;
    if (value.is<Undefined>()) return undefined_used(value);
    const auto integer = integer_of(value);
    if (!integer)
      return base::invalid_argument("slice indices must be integers, found a ", type_name(value));
    return integer;
  };
  FRUGAL_ASSIGN_OR_RETURN(const auto first, bound(start));
  FRUGAL_ASSIGN_OR_RETURN(const auto last, bound(stop));
  FRUGAL_ASSIGN_OR_RETURN(const auto stride, bound(step));
  // Steps beyond the length act as the length does, and cannot overflow.
  const int64_t by = std::clamp(stride.value_or(1), -(count + 1), count + 1);
  if (stride && *stride == 0) return base::invalid_argument("slice step cannot be zero");
  const int64_t lowest = by < 0 ? -1 : 0, highest = by < 0 ? count - 1 : count;
  const auto place = [&](std::optional<int64_t> value, int64_t fallback) {
    if (!value) return fallback;
    return std::clamp(*value < 0 ? *value + count : *value, lowest, highest);
  };
  return Extent{place(first, by < 0 ? highest : lowest), place(last, by < 0 ? lowest : highest),
                by};
}

absl::StatusOr<Value> slice_text(Workspace& workspace, const TextData& text, const Extent& extent) {
  FRUGAL_RETURN_IF_ERROR(workspace.scan(text.bytes.size()));
  std::string out;
  if (extent.step == 1) {
    if (extent.start < extent.stop) {
      const size_t begin = byte_of_character(text.bytes, extent.start);
      out = text.bytes.substr(begin, byte_of_character(text.bytes, extent.stop) - begin);
    }
    return workspace.text(std::move(out), text.safe);
  }
  FRUGAL_RETURN_IF_ERROR(workspace.charge(static_cast<int64_t>(text.bytes.size()) * 8));
  std::vector<std::string_view> characters;
  for (size_t at = 0; at < text.bytes.size();) {
    const size_t begin = at;
    next_character(text.bytes, at);
    characters.push_back(std::string_view(text.bytes).substr(begin, at - begin));
  }
  for (int64_t at = extent.start; extent.holds(at); at += extent.step)
    out += characters[static_cast<size_t>(at)];
  return workspace.text(std::move(out), text.safe);
}

}  // namespace

bool is_true(const Value& value) {
  if (value.is<None>() || value.is<Undefined>()) return false;
  if (const auto number = number_of(value)) return *number != 0;
  if (value.is<Text>()) return !value.text().empty();
  if (const auto* sequence = value.as<const Sequence*>()) return !(*sequence)->items.empty();
  if (const auto* dictionary = value.as<const Dictionary*>())
    return !(*dictionary)->entries.empty();
  return true;
}

absl::StatusOr<bool> is_equal(Workspace& workspace, const Value& left, const Value& right) {
  FRUGAL_RETURN_IF_ERROR(workspace.work(1));
  const auto left_number = number_of(left), right_number = number_of(right);
  if (left_number && right_number) return *left_number == *right_number;
  if (left.is<Text>() && right.is<Text>()) {
    FRUGAL_RETURN_IF_ERROR(workspace.scan(std::min(left.text().size(), right.text().size())));
    return left.text() == right.text();
  }
  const auto* left_sequence = left.as<const Sequence*>();
  const auto* right_sequence = right.as<const Sequence*>();
  if (left_sequence != nullptr && right_sequence != nullptr)
    return equal_sequences(workspace, **left_sequence, **right_sequence);
  const auto* left_dictionary = left.as<const Dictionary*>();
  const auto* right_dictionary = right.as<const Dictionary*>();
  if (left_dictionary != nullptr && right_dictionary != nullptr)
    return equal_dictionaries(workspace, **left_dictionary, **right_dictionary);
  const auto same = [&]<typename T>() {
    return left.is<T>() && right.is<T>() && *left.as<T>() == *right.as<T>();
  };
  return (left.is<None>() && right.is<None>()) || (left.is<Undefined>() && right.is<Undefined>()) ||
         same.operator()<Namespace*>() || same.operator()<Iterator*>() ||
         same.operator()<Object*>();
}

absl::StatusOr<bool> is_ordered(Workspace& workspace, std::string_view op, const Value& left,
                                const Value& right) {
  FRUGAL_ASSIGN_OR_RETURN(const std::partial_ordering found, order(workspace, op, left, right));
  if (op == "<") return found < 0;
  if (op == "<=") return found <= 0;
  if (op == ">") return found > 0;
  return found >= 0;
}

absl::StatusOr<bool> contains(Workspace& workspace, const Value& container, const Value& item) {
  if (container.is<Text>()) {
    if (!item.is<Text>())
      return base::invalid_argument("'in <text>' needs a text on its left, found ",
                                    item.is<Undefined>() ? *item.as<Undefined>()->message
                                                         : base::str_cat("a ", type_name(item)));
    FRUGAL_RETURN_IF_ERROR(workspace.search(container.text().size(), item.text().size()));
    return container.text().find(item.text()) != std::string_view::npos;
  }
  if (const auto* dictionary = container.as<const Dictionary*>()) {
    FRUGAL_RETURN_IF_ERROR(check_hashable(item));
    FRUGAL_ASSIGN_OR_RETURN(const Value* found, find_key(workspace, **dictionary, item));
    return found != nullptr;
  }
  if (!is_iterable(container))
    return base::invalid_argument("argument of type '", type_name(container),
                                  "' is not iterable: 'in' needs a text, list or dictionary");
  FRUGAL_ASSIGN_OR_RETURN(Iterator * iterator, iterate(workspace, container));
  while (true) {
    FRUGAL_ASSIGN_OR_RETURN(const std::optional<Value> next, iterator->next(workspace));
    if (!next) return false;
    FRUGAL_ASSIGN_OR_RETURN(const bool equal, is_equal(workspace, *next, item));
    if (equal) return true;
  }
}

absl::StatusOr<Value> arithmetic(Workspace& workspace, std::string_view op, const Value& left,
                                 const Value& right) {
  if (left.is<Undefined>() || right.is<Undefined>()) {
    if (op != "%" || !left.is<Text>()) return no_operator(op, left, right);
  }
  if (op == "%" && left.is<Text>()) return format_percent(workspace, left, right);
  const auto left_integer = integer_of(left), right_integer = integer_of(right);
  if (left_integer && right_integer) return integer_arithmetic(op, *left_integer, *right_integer);
  const auto left_number = number_of(left), right_number = number_of(right);
  if (left_number && right_number)
    return float_arithmetic(op, static_cast<double>(*left_number),
                            static_cast<double>(*right_number));
  if (op == "*" && is_repeatable(left) && right_integer)
    return repeat(workspace, left, *right_integer);
  if (op == "*" && is_repeatable(right) && left_integer)
    return repeat(workspace, right, *left_integer);
  if (op != "+") return no_operator(op, left, right);
  if (left.is<Text>() && right.is<Text>())
    return add_texts(workspace, **left.as<Text>(), **right.as<Text>());
  const auto* left_items = left.as<const Sequence*>();
  const auto* right_items = right.as<const Sequence*>();
  if (left_items != nullptr && right_items != nullptr && is_repeatable(left) &&
      (*left_items)->type == (*right_items)->type)
    return add_sequences(workspace, **left_items, **right_items);
  return no_operator(op, left, right);
}

absl::StatusOr<Value> negate(const Value& value, bool negative) {
  if (value.is<Undefined>()) return undefined_used(value);
  if (const auto integer = integer_of(value)) {
    if (!negative) return Value(*integer);
    if (*integer == std::numeric_limits<int64_t>::min()) return overflow();
    return Value(-*integer);
  }
  if (const auto* number = value.as<double>()) return Value(negative ? -*number : *number);
  return base::invalid_argument("bad operand type for ", negative ? "-" : "+", ": '",
                                type_name(value), "'");
}

absl::StatusOr<int64_t> length(const Value& value) {
  if (const auto* text = value.as<Text>()) return (*text)->length;
  if (const auto* sequence = value.as<const Sequence*>())
    return static_cast<int64_t>((*sequence)->items.size());
  if (const auto* dictionary = value.as<const Dictionary*>())
    return static_cast<int64_t>((*dictionary)->entries.size());
  if (value.is<Undefined>()) return 0;
  return base::invalid_argument("object of type '", type_name(value), "' has no length");
}

bool is_iterable(const Value& value) {
  return value.is<Text>() || value.is<const Sequence*>() || value.is<const Dictionary*>() ||
         value.is<Iterator*>() || value.is<Undefined>();
}

absl::StatusOr<Iterator*> iterate(Workspace& workspace, const Value& value) {
  std::unique_ptr<Iterator> made;
  if (const auto* iterator = value.as<Iterator*>()) return *iterator;
  if (const auto* text = value.as<Text>()) made = std::make_unique<CharacterIterator>(*text);
  if (const auto* sequence = value.as<const Sequence*>())
    made = std::make_unique<ItemIterator>(**sequence);
  if (const auto* dictionary = value.as<const Dictionary*>())
    made = std::make_unique<KeyIterator>(**dictionary);
  if (value.is<Undefined>()) made = std::make_unique<NoIterator>();
  if (made == nullptr)
    return base::invalid_argument("'", type_name(value), "' object is not iterable");
  FRUGAL_ASSIGN_OR_RETURN(const Value held, workspace.iterator(std::move(made)));
  return *held.as<Iterator*>();
}

absl::StatusOr<std::vector<Value>> to_vector(Workspace& workspace, const Value& value) {
  std::vector<Value> items;
  FRUGAL_ASSIGN_OR_RETURN(Iterator * iterator, iterate(workspace, value));
  while (true) {
    FRUGAL_ASSIGN_OR_RETURN(std::optional<Value> next, iterator->next(workspace));
    if (!next) return items;
    FRUGAL_RETURN_IF_ERROR(workspace.charge(sizeof(Value)));
    items.push_back(*std::move(next));
  }
}

absl::StatusOr<Value> get_attribute(Workspace& workspace, const Value& object, const Value& name) {
  if (object.is<Undefined>()) return undefined_used(object);
  FRUGAL_ASSIGN_OR_RETURN(std::optional<Value> member, find_member(workspace, object, name.text()));
  if (member) return *std::move(member);
  FRUGAL_ASSIGN_OR_RETURN(std::optional<Value> item, subscript(workspace, object, name));
  return item ? *std::move(item) : undefined(missing(object, name));
}

absl::StatusOr<Value> get_item(Workspace& workspace, const Value& object, const Value& key) {
  if (object.is<Undefined>()) return undefined_used(object);
  FRUGAL_ASSIGN_OR_RETURN(std::optional<Value> item, subscript(workspace, object, key));
  if (item) return *std::move(item);
  if (key.is<Text>()) {
    FRUGAL_ASSIGN_OR_RETURN(std::optional<Value> member,
                            find_member(workspace, object, key.text()));
    if (member) return *std::move(member);
  }
  return undefined(missing(object, key));
}

absl::StatusOr<Value> slice(Workspace& workspace, const Value& object, const Value& start,
                            const Value& stop, const Value& step) {
  if (object.is<Undefined>()) return undefined_used(object);
  const auto* text = object.as<Text>();
  const auto* sequence = object.as<const Sequence*>();
  if (sequence != nullptr && (*sequence)->type == Sequence::Type::kRange)
    return base::unimplemented("a slice of a range; write it through '|list'");
  if (text == nullptr && (sequence == nullptr || (*sequence)->type > Sequence::Type::kTuple))
    return base::invalid_argument("a '", type_name(object), "' cannot be sliced");
  FRUGAL_ASSIGN_OR_RETURN(const int64_t count, length(object));
  FRUGAL_ASSIGN_OR_RETURN(const Extent extent, extent_of(count, start, stop, step));
  if (text != nullptr) return slice_text(workspace, **text, extent);
  std::vector<Value> items;
  for (int64_t at = extent.start; extent.holds(at); at += extent.step)
    items.push_back((*sequence)->items[static_cast<size_t>(at)]);
  return workspace.sequence({.type = (*sequence)->type, .items = std::move(items)});
}

absl::StatusOr<const Value*> find_key(Workspace& workspace, const Dictionary& dictionary,
                                      const Value& key) {
  FRUGAL_RETURN_IF_ERROR(workspace.work(static_cast<int64_t>(dictionary.entries.size()) / 16));
  const bool is_text = key.is<Text>();
  for (const auto& [name, value] : dictionary.entries) {
    if (is_text && name.is<Text>()) {  // nearly always
      if (name.text() == key.text()) return &value;
      continue;
    }
    FRUGAL_ASSIGN_OR_RETURN(const bool equal, is_equal(workspace, name, key));
    if (equal) return &value;
  }
  return nullptr;
}

absl::Status set_key(Workspace& workspace, Entries& entries, const Value& key, const Value& value) {
  FRUGAL_RETURN_IF_ERROR(check_hashable(key));
  for (auto& [name, held] : entries) {
    FRUGAL_ASSIGN_OR_RETURN(const bool equal, is_equal(workspace, name, key));
    if (!equal) continue;
    held = value;
    return absl::OkStatus();
  }
  entries.emplace_back(key, value);
  return absl::OkStatus();
}

absl::Status set_attribute(Workspace& workspace, Namespace& space, std::string_view name,
                           const Value& value) {
  if (name.starts_with("_"))
    return base::invalid_argument("a namespace takes no attribute that begins with '_', found '",
                                  name, "'; rename it");
  FRUGAL_RETURN_IF_ERROR(workspace.work(static_cast<int64_t>(space.attributes.size()) / 16));
  if (Value* held = space.find(name)) {
    *held = value;
    return absl::OkStatus();
  }
  FRUGAL_RETURN_IF_ERROR(workspace.charge(static_cast<int64_t>(sizeof(Value) + name.size() + 64)));
  space.attributes.emplace_back(name, value);
  return absl::OkStatus();
}

absl::StatusOr<Value> call(Workspace& workspace, const Value& callee, const Arguments& arguments) {
  if (callee.is<Undefined>()) return undefined_used(callee);
  if (const auto* object = callee.as<Object*>()) return (*object)->call(workspace, arguments);
  return base::invalid_argument("'", type_name(callee), "' object is not callable");
}

bool is_callable(const Value& value) {
  if (value.is<Undefined>()) return true;  // it may be called, and raises
  const auto* object = value.as<Object*>();
  return object != nullptr && (*object)->callable();
}

absl::StatusOr<std::string> repeated(Workspace& workspace, std::string_view text, int64_t count) {
  count = text.empty() ? 0 : std::max<int64_t>(count, 0);
  FRUGAL_RETURN_IF_ERROR(charge_pieces(workspace, text.size(), count));
  std::string out;
  out.reserve(text.size() * static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) out += text;
  return out;
}

absl::StatusOr<std::string> replace(Workspace& workspace, std::string_view text,
                                    std::string_view old_text, std::string_view new_text,
                                    int64_t most) {
  FRUGAL_RETURN_IF_ERROR(workspace.search(text.size(), old_text.size()));
  most = std::max<int64_t>(most, -1);  // it is counted down
  std::string out;
  size_t at = 0;
  while (most != 0) {
    const size_t found = text.find(old_text, at);
    if (found == std::string_view::npos) break;
    FRUGAL_RETURN_IF_ERROR(workspace.charge(static_cast<int64_t>(new_text.size() + 1)));
    out += text.substr(at, found - at);
    out += new_text;
    at = found + old_text.size();
    if (old_text.empty()) {  // between all characters, before the first and behind the last
      if (at == text.size()) return out;
      const size_t begin = at;
      next_character(text, at);
      out += text.substr(begin, at - begin);
    }
    --most;
  }
  out += text.substr(std::min(at, text.size()));
  return out;
}

bool is_in_case(std::string_view text, bool lower_case) {
  bool cased = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t character = next_character(text, at);
    if (!is_cased(character)) continue;
    if (lower_case ? !is_lower(character) : !is_upper(character)) return false;
    cased = true;
  }
  return cased;
}

absl::StatusOr<Value> view_of(Workspace& workspace, const Dictionary& dictionary,
                              Sequence::Type type) {
  std::vector<Value> items;
  items.reserve(dictionary.entries.size());
  for (const auto& [key, value] : dictionary.entries) {
    if (type == Sequence::Type::kItems) {
      FRUGAL_ASSIGN_OR_RETURN(Value pair, workspace.tuple({key, value}));
      items.push_back(std::move(pair));
    } else {
      items.push_back(type == Sequence::Type::kKeys ? key : value);
    }
  }
  return workspace.sequence({.type = type, .items = std::move(items)});
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace frugal::chat
