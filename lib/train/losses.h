// Cross-entropy and forward KL over a chunked head.
//
// The head's logits z = h Wᵀ exist for `chunk_tokens` tokens at a time; each chunk's gradient by z
// is turned at once into its share of the gradients by h and W, so a batch costs
// chunk_tokens * V floats instead of tokens * V (several times). Per counted token, with p, s the
// teacher's and student's softmax:
//   loss = (1 - alpha) (-log s[target]) + alpha T² KL(p_T || s_T),   p_T = softmax(z_teacher / T)
//   dloss/dz = (1 - alpha) (s - onehot) + alpha T (s_T - p_T)
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/layer_runner.h"

namespace frugal::train {

struct LossOptions {
  double distillation_weight = 0.0;  // alpha, in [0, 1]
  double temperature = 1.0;          // T > 0
  int64_t chunk_tokens = 512;
  at::ScalarType product_type =
      at::kFloat;  // of the head's matrix products; the softmax is fp32 always
};

// Only tokens that count are handed in (losses.h counted_rows); N of them.
struct LossInput {
  at::Tensor hidden;          // [N, C] float, of the student, after its final norm
  model::Head head;           // [V, C]
  at::Tensor targets;         // [N] int64
  at::Tensor teacher_hidden;  // [N, C'] and
  model::Head teacher_head;   // [V, C'] of the teacher; undefined where alpha = 0
};

struct LossValue {
  at::Tensor
      loss;  // scalar fp32: sum over the N tokens / divisor; differentiable by hidden and head
  at::Tensor
      cross_entropy;  // scalar fp64, sum over the tokens (not divided); zero where 1 - alpha = 0
  at::Tensor divergence;  // scalar fp64, sum of KL at T (without T²); zero where alpha = 0
};

// `divisor`: counted tokens of the whole step, over all its forwards (global normalization).
LossValue head_loss(const LossInput& input, const LossOptions& options, double divisor);

// Places whose next token counts. ids, loss_mask, segments [B, T]; result: indices into the
// flattened [B * (T-1)] places (int64 [N]) and the ids expected there (int64 [N]). A place counts
// when loss_mask of the next token is 1 and both tokens stand in the same segment.
struct CountedRows {
  at::Tensor places, targets;
};
CountedRows counted_rows(const at::Tensor& ids, const at::Tensor& loss_mask,
                         const at::Tensor& segments);

}  // namespace frugal::train
