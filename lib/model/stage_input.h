// What a stage's matrices multiply: rows of activations, and the tokens of the batch they belong
// to. Most stages get all tokens, and nothing is copied for them; those of an expert get the tokens
// that were sent to it.
#pragma once

#include <ATen/core/Tensor.h>

namespace frugal::model {

struct StageInput {
  at::Tensor rows;         // [B, T, in] of all tokens in their order, or [n, in] of some
  at::Tensor tokens = {};  // int64 [n] ascending, numbers among the batch's B T; undefined: all

  bool of_all_tokens() const { return !tokens.defined(); }
  at::Tensor matrix() const;  // [n, in]
  // Of a value that every token has, [B, T, C]: the rows of these tokens, [n, C].
  at::Tensor rows_of(const at::Tensor& value) const;
  // The way back: `value` [B, T, C] with `rows` [.., C] of these tokens added to theirs.
  at::Tensor added_to(const at::Tensor& value, const at::Tensor& rows) const;
};

// Rows of two inputs of one batch that belong to the same tokens: [n, ..] each.
struct SharedRows {
  at::Tensor first, second;
};
SharedRows shared_rows(const StageInput& first, const StageInput& second);
// Whether both hold rows of the same tokens.
bool same_tokens(const StageInput& first, const StageInput& second);

}  // namespace frugal::model
