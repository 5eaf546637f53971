// Tested by: tests/chat/template_test.cpp
// Filters of lists, dictionaries and generators.
#include <algorithm>
#include <charconv>

#include "chat/arguments.h"
#include "chat/conditions.h"
#include "chat/filter_table.h"
#include "chat/filters.h"
#include "chat/operations.h"
#include "chat/printing.h"
#include "chat/unicode.h"

namespace frugal::chat {
namespace {

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

constexpr Filter kSequenceFilters[] = {
    {"batch", batched},
    {"count", counted},
    {"d", defaulted},
    {"default", defaulted},
    {"dictsort", sorted_dictionary},
    {"first", first},
    {"items", item_pairs},
    {"join", joined},
    {"last", last},
    {"length", counted},
    {"list", listed},
    {"map", mapped_items},
    {"max", extreme<true>},
    {"min", extreme<false>},
    {"reject", selected<false, false>},
    {"rejectattr", selected<false, true>},
    {"reverse", reversed},
    {"select", selected<true, false>},
    {"selectattr", selected<true, true>},
    {"sort", sorted},
    {"sum", summed},
    {"unique", unique},
};

}  // namespace

std::span<const Filter> sequence_filters() { return kSequenceFilters; }

}  // namespace frugal::chat
