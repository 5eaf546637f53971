#include "model/stage_input.h"

#include "tensor/aten.h"

namespace frugal::model {
namespace {

at::Tensor flat(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}); }

}  // namespace

at::Tensor StageInput::matrix() const { return flat(rows); }

at::Tensor StageInput::rows_of(const at::Tensor& value) const {
  return of_all_tokens() ? flat(value) : flat(value).index_select(0, tokens);
}

at::Tensor StageInput::added_to(const at::Tensor& value, const at::Tensor& rows) const {
  if (of_all_tokens()) return value + rows;
  return flat(value).index_add(0, tokens, rows).view(value.sizes());
}

bool same_tokens(const StageInput& first, const StageInput& second) {
  if (first.of_all_tokens() && second.of_all_tokens()) return true;
  return first.tokens.defined() && second.tokens.defined() &&
         at::equal(first.tokens, second.tokens);
}

SharedRows shared_rows(const StageInput& first, const StageInput& second) {
  if (same_tokens(first, second)) return {first.matrix(), second.matrix()};
  if (first.of_all_tokens())
    return {first.matrix().index_select(0, second.tokens), second.matrix()};
  if (second.of_all_tokens())
    return {first.matrix(), second.matrix().index_select(0, first.tokens)};
  // Both ascend: what is left of each stands in the same order.
  const auto part = [](const StageInput& of, const StageInput& other) {
    return of.matrix().index_select(0, at::isin(of.tokens, other.tokens).nonzero().flatten());
  };
  return {part(first, second), part(second, first)};
}

}  // namespace frugal::model
