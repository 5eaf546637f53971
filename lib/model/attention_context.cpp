// Tested by: tests/model/families_test.cpp
#include "model/attention_context.h"

#include <algorithm>

#include "model/rotary.h"
#include "tensor/aten.h"

namespace frugal::model {
namespace {

// bool [B, 1, T, T]: causal and inside a segment. Padding (-1) sees padding, so no row is empty (an
// empty one would be NaN).
at::Tensor segment_mask(const at::Tensor& segments) {
  const int64_t length = segments.size(1);
  const at::Tensor causal = at::ones({length, length}, segments.options().dtype(at::kBool)).tril();
  return (segments.unsqueeze(2).eq(segments.unsqueeze(1))).logical_and_(causal).unsqueeze(1);
}

// bool [1, 1, T, T_total]: keys up to the query's own place, fewer than `window` places behind it.
at::Tensor window_mask(int64_t queries, int64_t keys, int64_t window, const at::Device& device) {
  const int64_t past = keys - queries;
  const at::Tensor ones =
      at::ones({queries, keys}, at::TensorOptions().dtype(at::kBool).device(device));
  return ones.tril(past).triu(past - window + 1).view({1, 1, queries, keys});
}

}  // namespace

AttentionKinds::AttentionKinds(const architecture::ModelConfig& config, const at::Device& device)
    : device_(device) {
  for (const architecture::Layer& layer : config.layers) {
    const architecture::Attention& attention = layer.attention;
    Kind kind{attention.rope, attention.head_size, attention.window, {}};
    const auto known = std::find(kinds_.begin(), kinds_.end(), kind);
    kind_of_layer_.push_back(static_cast<size_t>(known - kinds_.begin()));
    if (known != kinds_.end()) continue;
    kind.frequencies = rotary_frequencies(kind.rope, kind.head_size).to(device);
    kinds_.push_back(std::move(kind));
  }
}

AttentionContexts AttentionKinds::contexts(const Batch& batch, int64_t past_length,
                                           bool rounded) const {
  TORCH_CHECK(batch.ids.dim() == 2, "ids are [B, T], got ", batch.ids.sizes());
  const int64_t length = batch.ids.size(1);
  const at::Tensor positions =
      batch.positions.defined()
          ? batch.positions.to(device_)
          : at::arange(past_length, past_length + length, at::device(device_).dtype(at::kLong))
                .unsqueeze(0);
  at::Tensor mask = batch.mask;
  if (!mask.defined() && batch.segments.defined()) {
    TORCH_CHECK(past_length == 0, "segments and a filled cache do not go together: pass a mask");
    mask = segment_mask(batch.segments.to(device_));
  }
  return make(positions, mask, length, past_length, rounded);
}

AttentionContexts AttentionKinds::window_contexts(int64_t length, bool rounded) const {
  const at::Tensor positions =
      at::arange(length, at::device(device_).dtype(at::kLong)).unsqueeze(0);
  return make(positions, {}, length, 0, rounded);
}

AttentionContexts AttentionKinds::make(const at::Tensor& positions, const at::Tensor& mask,
                                       int64_t length, int64_t past_length, bool rounded) const {
  AttentionContexts result{.kinds = {}, .kind_of_layer = kind_of_layer_};
  for (const Kind& kind : kinds_) {
    const RotaryTables tables = rotary_tables(kind.frequencies, positions);
    AttentionContext context{
        .cosine = tables.cosine, .sine = tables.sine, .mask = mask, .rounded = rounded};
    const int64_t keys = mask.defined() ? mask.size(-1) : past_length + length;
    if (kind.window && *kind.window < keys) {
      const at::Tensor window = window_mask(length, keys, *kind.window, device_);
      context.mask = mask.defined() ? mask.logical_and(window) : window;
    }
    result.kinds.push_back(std::move(context));
  }
  return result;
}

}  // namespace frugal::model
