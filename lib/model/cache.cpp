#include <algorithm>

#include "model/layer_runner.h"
#include "tensor/aten.h"

namespace frugal::model {
namespace {

constexpr int64_t kFirstCapacity = 64;  // tokens

// Appends `fresh` [B, K, T, D] behind the first `length` tokens of `buffer`, growing it where
// needed; returns the view of all.
at::Tensor append_to(at::Tensor& buffer, const at::Tensor& past, const at::Tensor& fresh) {
  const int64_t length = past.defined() ? past.size(2) : 0;
  const int64_t total = length + fresh.size(2);
  const bool fits =
      buffer.defined() && past.defined() && past.is_alias_of(buffer) && buffer.size(2) >= total;
  if (!fits) {
    const int64_t capacity = std::max({kFirstCapacity, total, 2 * length});
    buffer = at::empty({fresh.size(0), fresh.size(1), capacity, fresh.size(3)}, fresh.options());
    if (length > 0) buffer.narrow(2, 0, length).copy_(past);
  }
  buffer.narrow(2, length, fresh.size(2)).copy_(fresh);
  return buffer.narrow(2, 0, total);
}

}  // namespace

int64_t KeyValueCache::length() const {
  return keys.empty() || !keys.front().defined() ? 0 : keys.front().size(2);
}

std::pair<at::Tensor, at::Tensor> KeyValueCache::append(int64_t layer, const at::Tensor& key,
                                                        const at::Tensor& value) {
  const auto index = static_cast<size_t>(layer);
  if (keys.size() <= index) {
    for (auto* list : {&keys, &values, &key_buffers_, &value_buffers_}) list->resize(index + 1);
  }
  key_buffers_.resize(keys.size());
  value_buffers_.resize(keys.size());
  keys[index] = append_to(key_buffers_[index], keys[index], key);
  values[index] = append_to(value_buffers_[index], values[index], value);
  return {keys[index], values[index]};
}

void KeyValueCache::select_rows(const at::Tensor& rows) {
  for (auto* list : {&keys, &values}) {
    for (at::Tensor& tensor : *list) {
      if (tensor.defined()) tensor = tensor.index_select(0, rows);
    }
  }
  if (planned_lengths.defined()) planned_lengths = planned_lengths.index_select(0, rows);
  key_buffers_.assign(keys.size(), {});
  value_buffers_.assign(values.size(), {});
}

}  // namespace frugal::model
