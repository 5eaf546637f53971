// Causal attention with the factors of its products rounded to bfloat16 (bf16_product.h), for query
// heads that share a key/value head: out = softmax(Q Kᵀ / √size, keys up to the query's own) V.
// Only products on and below the diagonal are computed, 64 queries at a time, so that memory grows
// with the tokens and not with their square.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/bf16_product.h"

namespace frugal::kernels {

struct HeadGroup {
  int64_t tokens = 0;
  int64_t size = 0;   // of a head
  int64_t heads = 1;  // query heads on the key/value head
};

// Heads of [tokens, size], elements of a token one after the other.
template <typename T>
struct HeadRows {
  T* values = nullptr;
  int64_t stride = 0;     // elements from one token to the next
  int64_t head_step = 0;  // elements from one query head to the next

  T* row(int64_t head, int64_t token) const { return values + head * head_step + token * stride; }
};

// Room for attention over groups of one shape, one after the other. Serial; one object a thread.
class Bf16Attention {
 public:
  // Of this machine's fast products, which there must be (fast_bf16_kernel()).
  explicit Bf16Attention(const HeadGroup& group);
  Bf16Attention(const HeadGroup& group, const Bf16Kernel& kernel);

  // Overwrites `out` and `log_sums` [heads, tokens], log Σ exp(scores).
  void forward(HeadRows<const float> query, HeadRows<const float> key, HeadRows<const float> value,
               HeadRows<float> out, float* log_sums);
  // Gradients by query, key and value from the one by out; overwritten, the latter two are summed
  // over the heads.
  void backward(HeadRows<const float> query, HeadRows<const float> key, HeadRows<const float> value,
                const float* log_sums, HeadRows<const float> out_gradient,
                HeadRows<float> query_gradient, HeadRows<float> key_gradient,
                HeadRows<float> value_gradient);

 private:
  using Words = std::vector<uint32_t>;
  PackSource rows_of(HeadRows<const float> heads, int64_t head, int64_t begin, int64_t count) const;
  void pack_rows(const PackSource& source, Words& words) const;
  void pack_columns(const PackSource& source, Words& words) const;
  void scores(const Words& left, const Words& right, int64_t block, std::vector<float>& out) const;
  void mix(const std::vector<float>& weights, int64_t block, const Words& right, float* out,
           int64_t stride);
  void add_turned(const std::vector<float>& weights, int64_t block, const Words& right,
                  HeadRows<float> sum);

  int64_t blocks() const { return panel_count(group_.tokens); }
  int64_t rows_in(int64_t block) const;
  int64_t keys_of(int64_t block) const { return (block + 1) * kPanel; }  // in whole panels

  const HeadGroup group_;
  const Bf16Kernel& kernel_;
  const float scale_;
  Words key_rows_, key_columns_, value_rows_, value_columns_;  // all tokens
  Words block_rows_, block_columns_, weight_words_;            // of 64 queries
  std::vector<float> weights_, gradients_;                     // [64, keys] of 64 queries
};

}  // namespace frugal::kernels
