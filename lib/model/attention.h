// Scaled dot-product attention with fewer key/value heads than query heads.
#pragma once

#include <ATen/core/Tensor.h>

namespace frugal::model {

// query [B, H, T, D]; key, value [B, K, T_total, D], H a multiple of K; mask undefined or bool [B or 1, 1, T, T_total], true
// where a query sees a key. Without a mask every query sees the keys up to its own place, the queries being the last T
// of T_total. Result [B, H, T, D]. Differentiable.
at::Tensor grouped_query_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                                   const at::Tensor& mask);

}  // namespace frugal::model
