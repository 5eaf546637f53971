// Python's operators on values, as the sandbox of Jinja lets templates use them.
// Errors: InvalidArgument where Python raises, Unimplemented where frugal does less, and
// ResourceExhausted past a limit of the workspace.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "chat/value.h"

namespace frugal::chat {

bool is_true(const Value& value);
absl::StatusOr<bool> is_equal(Workspace& workspace, const Value& left, const Value& right);
// op: < <= > >=
absl::StatusOr<bool> is_ordered(Workspace& workspace, std::string_view op, const Value& left,
                                const Value& right);
inline absl::StatusOr<bool> is_less(Workspace& workspace, const Value& left, const Value& right) {
  return is_ordered(workspace, "<", left, right);
}
// `item` in `container`; takes items from an iterator until one is equal.
absl::StatusOr<bool> contains(Workspace& workspace, const Value& container, const Value& item);

// op: + - * / // % **
absl::StatusOr<Value> arithmetic(Workspace& workspace, std::string_view op, const Value& left,
                                 const Value& right);
absl::StatusOr<Value> negate(const Value& value, bool negative);

// len(value).
absl::StatusOr<int64_t> length(const Value& value);
// Items one by one: of lists, keys of dictionaries, characters of texts; undefined has none.
absl::StatusOr<Iterator*> iterate(Workspace& workspace, const Value& value);
bool is_iterable(const Value& value);
absl::StatusOr<std::vector<Value>> to_vector(Workspace& workspace, const Value& value);

// object.name: an attribute before an item; object[key]: the other way round. What neither has is
// undefined; of what is undefined they are errors.
// `name`: a text.
absl::StatusOr<Value> get_attribute(Workspace& workspace, const Value& object, const Value& name);
absl::StatusOr<Value> get_item(Workspace& workspace, const Value& object, const Value& key);
// object[start:stop:step]; None where one is left out.
absl::StatusOr<Value> slice(Workspace& workspace, const Value& object, const Value& start,
                            const Value& stop, const Value& step);

// The value of `key`; nullptr where there is none. Errors: a key that Python cannot hash.
absl::StatusOr<const Value*> find_key(Workspace& workspace, const Dictionary& dictionary,
                                      const Value& key);
// Adds or replaces. Errors: as find_key.
absl::Status set_key(Workspace& workspace, std::vector<std::pair<Value, Value>>& entries,
                     const Value& key, const Value& value);

// Of a namespace. Errors: a name that begins with an underscore, which the sandbox keeps for
// itself.
absl::Status set_attribute(Workspace& workspace, Namespace& space, std::string_view name,
                           const Value& value);

absl::StatusOr<Value> call(Workspace& workspace, const Value& callee, const Arguments& arguments);
bool is_callable(const Value& value);

// text.replace(old, new, most); all of them where `most` is negative.
absl::StatusOr<std::string> replace(Workspace& workspace, std::string_view text,
                                    std::string_view old_text, std::string_view new_text,
                                    int64_t most);
// text * count.
absl::StatusOr<std::string> repeated(Workspace& workspace, std::string_view text, int64_t count);
// str.islower, str.isupper.
bool is_in_case(std::string_view text, bool lower_case);
// dict.items() and the like.
absl::StatusOr<Value> view_of(Workspace& workspace, const Dictionary& dictionary,
                              Sequence::Type type);

// "<b>" as "&lt;b&gt;" (markupsafe.escape).
std::string escape_html(std::string_view text);

// Asks for no strict weak order, unlike std::stable_sort: NaN has none.
template <typename Item, typename Less>
void merge_sort(std::vector<Item>& items, const Less& less) {
  std::vector<Item> merged(items.size());
  for (size_t width = 1; width < items.size(); width *= 2) {
    for (size_t begin = 0; begin < items.size(); begin += 2 * width) {
      size_t left = begin;
      const size_t middle = std::min(begin + width, items.size());
      size_t right = middle;
      const size_t end = std::min(begin + 2 * width, items.size());
      for (size_t at = begin; at < end; ++at) {
        const bool take_right = left == middle || (right < end && less(items[right], items[left]));
        merged[at] = std::move(items[take_right ? right++ : left++]);
      }
    }
    items.swap(merged);
  }
}

// Sorts stably as Python does by `key(item)`, descending where `reverse`. Errors: keys without an
// order.
template <typename Item, typename Key>
absl::Status sort_by(Workspace& workspace, std::vector<Item>& items, const Key& key, bool reverse) {
  absl::Status status;
  const auto less = [&](const Item& left, const Item& right) {
    if (!status.ok()) return false;
    const absl::StatusOr<bool> result = reverse ? is_less(workspace, key(right), key(left))
                                                : is_less(workspace, key(left), key(right));
    if (!result.ok()) status = result.status();
    return result.ok() && *result;
  };
  merge_sort(items, less);
  return status;
}

}  // namespace frugal::chat
