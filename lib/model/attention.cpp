#include "model/attention.h"

#include <ATen/ATen.h>

#include <optional>

namespace frugal::model {
namespace {

std::optional<at::Tensor> optional_mask(const at::Tensor& mask) {
  return mask.defined() ? std::optional<at::Tensor>(mask) : std::nullopt;
}

// [B, K, T, D] -> [B, H, T, D]. LibTorch's enable_gqa takes the slow path on the CPU; a copy of K and V is cheaper.
at::Tensor expand_heads(const at::Tensor& x, int64_t heads) {
  const int64_t group = heads / x.size(1);
  if (group == 1) return x;
  return x.unsqueeze(2)
      .expand({x.size(0), x.size(1), group, x.size(2), x.size(3)})
      .reshape({x.size(0), heads, x.size(2), x.size(3)});
}

// One new token: the queries of a group become the rows of one attention, so no key is copied.
at::Tensor single_token_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                                  const at::Tensor& mask) {
  const int64_t batch = query.size(0), heads = query.size(1), size = query.size(3);
  const int64_t groups = key.size(1);
  const at::Tensor folded = query.reshape({batch, groups, heads / groups, size});
  return at::scaled_dot_product_attention(folded, key, value, optional_mask(mask))
      .reshape({batch, heads, 1, size});
}

// Causal rows for T queries at the end of T_total keys.
at::Tensor tail_mask(int64_t queries, int64_t keys, const at::Device& device) {
  return at::ones({queries, keys}, at::TensorOptions().dtype(at::kBool).device(device))
      .tril(keys - queries)
      .view({1, 1, queries, keys});
}

}  // namespace

at::Tensor grouped_query_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                                   const at::Tensor& mask) {
  const int64_t queries = query.size(2), keys = key.size(2);
  if (queries == 1) return single_token_attention(query, key, value, mask);
  const at::Tensor all_keys = expand_heads(key, query.size(1));
  const at::Tensor all_values = expand_heads(value, query.size(1));
  if (mask.defined() || queries == keys) {
    return at::scaled_dot_product_attention(query, all_keys, all_values, optional_mask(mask), 0.0,
                                            /*is_causal=*/!mask.defined());
  }
  return at::scaled_dot_product_attention(query, all_keys, all_values,
                                          tail_mask(queries, keys, query.device()));
}

}  // namespace frugal::model
