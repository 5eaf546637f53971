#include "chat/value.h"

#include <algorithm>
#include <limits>

#include "chat/unicode.h"

namespace frugal::chat {
namespace {

using base::Json;

int depth_of(const Value& value) {
  if (const auto* sequence = value.as<const Sequence*>()) return (*sequence)->depth;
  if (const auto* dictionary = value.as<const Dictionary*>()) return (*dictionary)->depth;
  return 0;
}

absl::Status check_depth(int depth) {
  if (depth <= kMaxValueDepth) return absl::OkStatus();
  return base::resource_exhausted("values within values deeper than ", kMaxValueDepth);
}

std::string_view sequence_type_name(Sequence::Type type) {
  switch (type) {
    case Sequence::Type::kList:
      return "list";
    case Sequence::Type::kTuple:
      return "tuple";
    case Sequence::Type::kKeys:
      return "dict_keys";
    case Sequence::Type::kValues:
      return "dict_values";
    case Sequence::Type::kItems:
      return "dict_items";
    case Sequence::Type::kRange:
      return "range";
  }
  return "list";
}

absl::StatusOr<Value> number_from_json(const Json& json) {
  if (json.is_number_float()) return Value(json.get<double>());
  if (json.is_number_unsigned() &&
      json.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()})
    return base::unimplemented("the integer ", json.get<uint64_t>(),
                               " needs more than 64 bits; frugal computes with 64");
  return Value(json.get<int64_t>());
}

}  // namespace

Value* Namespace::find(std::string_view name) {
  for (auto& [key, value] : attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

absl::StatusOr<std::optional<Value>> Object::attribute(Workspace&, std::string_view) {
  return std::nullopt;
}

absl::StatusOr<Value> Object::call(Workspace&, const Arguments&) {
  return base::invalid_argument("'", type_name(), "' object is not callable");
}

absl::StatusOr<std::string> Object::print() const {
  return base::unimplemented("a ", type_name(),
                             " is printed; Jinja would write an address of its memory");
}

std::string_view type_name(const Value& value) {
  if (value.is<None>()) return "NoneType";
  if (value.is<Undefined>()) return "Undefined";
  if (value.is<bool>()) return "bool";
  if (value.is<int64_t>()) return "int";
  if (value.is<double>()) return "float";
  if (value.is<Text>()) return (*value.as<Text>())->safe ? "Markup" : "str";
  if (const auto* sequence = value.as<const Sequence*>())
    return sequence_type_name((*sequence)->type);
  if (value.is<const Dictionary*>()) return "dict";
  if (value.is<Namespace*>()) return "Namespace";
  if (const auto* iterator = value.as<Iterator*>()) return (*iterator)->type_name();
  return (*value.as<Object*>())->type_name();
}

std::string described_type(const Value& value) {
  if (value.is<None>()) return "None";
  if (value.is<Undefined>()) return "Undefined";
  return base::str_cat(type_name(value), " object");
}

absl::Status Workspace::charge(int64_t bytes) {
  // Both are at most the limit, so the sum cannot overflow where `bytes` is no more than it.
  if (bytes > bytes_left())
    return base::resource_exhausted("values of more than ",
                                    base::format_bytes(static_cast<double>(limits_.value_bytes)),
                                    " in one rendering");
  bytes_ += bytes;
  return absl::OkStatus();
}

absl::Status Workspace::work(int64_t steps) {
  if (steps > limits_.steps - steps_)
    return base::resource_exhausted("more than ", base::format_count(limits_.steps),
                                    " steps in one rendering");
  steps_ += steps;
  return absl::OkStatus();
}

absl::Status Workspace::search(size_t bytes, size_t pattern_bytes) {
  FRUGAL_RETURN_IF_ERROR(scan(bytes));
  return work(
      static_cast<int64_t>(static_cast<double>(bytes) * static_cast<double>(pattern_bytes) / 4096));
}

absl::StatusOr<Value> Workspace::text(std::string bytes, bool safe) {
  FRUGAL_RETURN_IF_ERROR(charge(static_cast<int64_t>(sizeof(TextData) + bytes.size())));
  FRUGAL_RETURN_IF_ERROR(scan(bytes.size()));
  auto data = std::make_shared<TextData>();
  data->length = count_characters(bytes);
  data->bytes = std::move(bytes);
  data->safe = safe;
  return Value(Text(std::move(data)));
}

absl::StatusOr<Value> Workspace::sequence(Sequence sequence) {
  const int64_t count = static_cast<int64_t>(sequence.items.size());
  FRUGAL_RETURN_IF_ERROR(
      charge(static_cast<int64_t>(sizeof(Sequence)) + count * int64_t{sizeof(Value)}));
  FRUGAL_RETURN_IF_ERROR(work(1 + count / 8));
  for (const Value& item : sequence.items)
    sequence.depth = std::max(sequence.depth, 1 + depth_of(item));
  FRUGAL_RETURN_IF_ERROR(check_depth(sequence.depth));
  sequences_.push_back(std::move(sequence));
  return Value(static_cast<const Sequence*>(&sequences_.back()));
}

absl::StatusOr<Value> Workspace::list(std::vector<Value> items) {
  return sequence({.type = Sequence::Type::kList, .items = std::move(items)});
}

absl::StatusOr<Value> Workspace::tuple(std::vector<Value> items) {
  return sequence({.type = Sequence::Type::kTuple, .items = std::move(items)});
}

absl::StatusOr<Value> Workspace::dictionary(std::vector<std::pair<Value, Value>> entries) {
  const int64_t count = static_cast<int64_t>(entries.size());
  FRUGAL_RETURN_IF_ERROR(
      charge(static_cast<int64_t>(sizeof(Dictionary)) + 2 * count * int64_t{sizeof(Value)}));
  FRUGAL_RETURN_IF_ERROR(work(1 + count / 8));
  Dictionary dictionary{.entries = std::move(entries)};
  for (const auto& [key, value] : dictionary.entries)
    dictionary.depth = std::max({dictionary.depth, 1 + depth_of(value), 1 + depth_of(key)});
  FRUGAL_RETURN_IF_ERROR(check_depth(dictionary.depth));
  dictionaries_.push_back(std::move(dictionary));
  return Value(static_cast<const Dictionary*>(&dictionaries_.back()));
}

absl::StatusOr<Value> Workspace::from_json(const Json& json) {
  if (json.is_null()) return Value();
  if (json.is_boolean()) return Value(json.get<bool>());
  if (json.is_number()) return number_from_json(json);
  if (json.is_string()) {
    const auto& bytes = json.get_ref<const std::string&>();
    if (!base::is_valid_utf8(bytes))
      return base::invalid_argument("a text of the conversation is not UTF-8");
    return text(bytes);
  }
  if (json.is_array()) {
    std::vector<Value> items;
    for (const Json& item : json) {
      FRUGAL_ASSIGN_OR_RETURN(Value value, from_json(item));
      items.push_back(std::move(value));
    }
    return list(std::move(items));
  }
  if (!json.is_object()) return base::invalid_argument("binary data within a conversation");
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [name, item] : json.items()) {
    FRUGAL_ASSIGN_OR_RETURN(Value key, from_json(Json(name)));
    FRUGAL_ASSIGN_OR_RETURN(Value value, from_json(item));
    entries.emplace_back(std::move(key), std::move(value));
  }
  return dictionary(std::move(entries));
}

absl::StatusOr<Namespace*> Workspace::name_space() {
  FRUGAL_RETURN_IF_ERROR(charge(sizeof(Namespace)));
  namespaces_.emplace_back();
  return &namespaces_.back();
}

absl::StatusOr<Value> Workspace::iterator(std::unique_ptr<Iterator> iterator) {
  FRUGAL_RETURN_IF_ERROR(check_depth(iterator->depth()));
  FRUGAL_RETURN_IF_ERROR(charge(256));  // with what it holds, about
  iterators_.push_back(std::move(iterator));
  return Value(iterators_.back().get());
}

absl::StatusOr<Value> Workspace::object(std::unique_ptr<Object> object) {
  FRUGAL_RETURN_IF_ERROR(charge(256));
  objects_.push_back(std::move(object));
  return Value(objects_.back().get());
}

Value undefined(std::string message) {
  return Value(Undefined{std::make_shared<const std::string>(std::move(message))});
}

}  // namespace frugal::chat
