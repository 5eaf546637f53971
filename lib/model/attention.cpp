#include "model/attention.h"

#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "kernels/bf16_attention.h"
#include "tensor/aten.h"

namespace frugal::model {
namespace {

using kernels::Bf16Attention;
using kernels::HeadRows;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

std::optional<at::Tensor> optional_mask(const at::Tensor& mask) {
  return mask.defined() ? std::optional<at::Tensor>(mask) : std::nullopt;
}

// [B, K, T, D] -> [B, H, T, D]. LibTorch's enable_gqa takes the slow path on the CPU; a copy of K
// and V is cheaper.
at::Tensor expand_heads(const at::Tensor& x, int64_t heads) {
  const int64_t group = heads / x.size(1);
  if (group == 1) return x;
  return x.unsqueeze(2)
      .expand({x.size(0), x.size(1), group, x.size(2), x.size(3)})
      .reshape({x.size(0), heads, x.size(2), x.size(3)});
}

// One new token: the queries of a group become the rows of one attention, so no key is copied.
at::Tensor single_token_attention(const at::Tensor& query, const at::Tensor& key,
                                  const at::Tensor& value, const at::Tensor& mask) {
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

// Heads of one row of a batch [.., heads, T, D] from `head` on.
template <typename T>
HeadRows<T> heads_of(const at::Tensor& x, int64_t row, int64_t head) {
  return {.values = static_cast<T*>(x.data_ptr<float>()) + row * x.stride(0) + head * x.stride(1),
          .stride = x.stride(2),
          .head_step = x.stride(1)};
}

// [B, heads, T, D] that lies in memory as [B, T, heads, D], the order of the projections.
at::Tensor empty_heads(const at::Tensor& like) {
  return at::empty({like.size(0), like.size(2), like.size(1), like.size(3)}, at::kFloat)
      .transpose(1, 2);
}

at::Tensor whole_heads(const at::Tensor& x) { return x.stride(3) == 1 ? x : x.contiguous(); }

// Calls body(row of the batch, key/value head, first of its query heads).
void for_each_group(const at::Tensor& query, const at::Tensor& key,
                    const std::function<void(int64_t row, int64_t group, int64_t head)>& body) {
  const int64_t groups = key.size(1), heads = query.size(1) / groups;
  for (int64_t row = 0; row < query.size(0); ++row) {
    for (int64_t group = 0; group < groups; ++group) body(row, group, group * heads);
  }
}

Bf16Attention attention_over(const at::Tensor& query, const at::Tensor& key) {
  return Bf16Attention(
      {.tokens = query.size(2), .size = query.size(3), .heads = query.size(1) / key.size(1)});
}

struct RoundedAttention : torch::autograd::Function<RoundedAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& query,
                            const at::Tensor& key, const at::Tensor& value) {
    const at::Tensor q = whole_heads(query), k = whole_heads(key), v = whole_heads(value);
    const at::Tensor out = empty_heads(q);
    const at::Tensor log_sums = at::empty({q.size(0), q.size(1), q.size(2)}, at::kFloat);
    Bf16Attention attention = attention_over(q, k);
    for_each_group(q, k, [&](int64_t row, int64_t group, int64_t head) {
      attention.forward(heads_of<const float>(q, row, head), heads_of<const float>(k, row, group),
                        heads_of<const float>(v, row, group), heads_of<float>(out, row, head),
                        log_sums[row][head].data_ptr<float>());
    });
    context->save_for_backward({q, k, v, log_sums});
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2], &log_sums = saved[3];
    const at::Tensor by_out = whole_heads(upstream.at(0));
    const at::Tensor by_q = empty_heads(q), by_k = empty_heads(k), by_v = empty_heads(v);
    Bf16Attention attention = attention_over(q, k);
    for_each_group(q, k, [&](int64_t row, int64_t group, int64_t head) {
      attention.backward(heads_of<const float>(q, row, head), heads_of<const float>(k, row, group),
                         heads_of<const float>(v, row, group),
                         log_sums[row][head].data_ptr<float>(),
                         heads_of<const float>(by_out, row, head), heads_of<float>(by_q, row, head),
                         heads_of<float>(by_k, row, group), heads_of<float>(by_v, row, group));
    });
    return {by_q, by_k, by_v};
  }
};

// One row of the batch: query [H, T, D], key and value [H, T_total, D], seen [1, T, T_total].
at::Tensor capped_row(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                      const at::Tensor& seen, double cap) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(query.size(-1)));
  const at::Tensor scores = at::matmul(query, key.transpose(1, 2)).to(at::kFloat) * (scale / cap);
  const at::Tensor bounded = scores.tanh() * cap;
  const at::Tensor shares =
      bounded.masked_fill(seen.logical_not(), -std::numeric_limits<float>::infinity()).softmax(-1);
  return at::matmul(shares.to(value.scalar_type()), value);
}

}  // namespace

at::Tensor capped_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                            const at::Tensor& mask, double cap) {
  const at::Tensor all_keys = expand_heads(key, query.size(1));
  const at::Tensor all_values = expand_heads(value, query.size(1));
  const at::Tensor seen =
      mask.defined() ? mask : tail_mask(query.size(2), key.size(2), query.device());
  std::vector<at::Tensor> rows;
  for (int64_t row = 0; row < query.size(0); ++row) {
    rows.push_back(capped_row(query[row], all_keys[row], all_values[row],
                              seen[seen.size(0) == 1 ? 0 : row], cap));
  }
  return at::stack(rows);
}

at::Tensor rounded_causal_attention(const at::Tensor& query, const at::Tensor& key,
                                    const at::Tensor& value) {
  const bool fits =
      query.is_cpu() && query.scalar_type() == at::kFloat && query.size(2) == key.size(2);
  if (!fits || kernels::fast_bf16_kernel() == nullptr)
    return grouped_query_attention(query, key, value, {});
  return RoundedAttention::apply(query, key, value);
}

at::Tensor grouped_query_attention(const at::Tensor& query, const at::Tensor& key,
                                   const at::Tensor& value, const at::Tensor& mask) {
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
