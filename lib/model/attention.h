// Scaled dot-product attention with fewer key/value heads than query heads.
#pragma once

#include <ATen/core/Tensor.h>

namespace frugal::model {

// query [B, H, T, D]; key, value [B, K, T_total, D], H a multiple of K; mask undefined or bool [B
// or 1, 1, T, T_total], true where a query sees a key. Without a mask every query sees the keys up
// to its own place, the queries being the last T of T_total. Result [B, H, T, D]. Differentiable.
at::Tensor grouped_query_attention(const at::Tensor& query, const at::Tensor& key,
                                   const at::Tensor& value, const at::Tensor& mask);

// The same with scores (query · key / sqrt(D)) bounded: cap * tanh(score / cap) (Gemma 2). Scores
// of one row of the batch exist at a time.
at::Tensor capped_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                            const at::Tensor& mask, double cap);

// The same without a mask and a cap, for as many queries as keys, fp32 on the CPU; the factors of
// its products are rounded to bfloat16 (kernels/bf16_attention.h) where the CPU multiplies those
// faster, forward and backward, else nothing is. Serial: windows are what threads share.
at::Tensor rounded_causal_attention(const at::Tensor& query, const at::Tensor& key,
                                    const at::Tensor& value);

}  // namespace frugal::model
