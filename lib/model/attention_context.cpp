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

// Of each token [B, T]: of its row, or of its segment.
at::Tensor sequence_lengths(const at::Tensor& positions, const at::Tensor& segments) {
  if (!segments.defined()) return (positions.amax(1, /*keepdim=*/true) + 1).expand_as(positions);
  const at::Tensor own = segments.unsqueeze(2).eq(segments.unsqueeze(1));  // [B, T, T]
  return (positions.unsqueeze(1) * own).amax(-1) + 1;
}

}  // namespace

at::Tensor Batch::places(int64_t past_length, const at::Device& device) const {
  if (positions.defined()) return positions.to(device);
  return at::arange(past_length, past_length + ids.size(1), at::device(device).dtype(at::kLong))
      .unsqueeze(0);
}

AttentionKinds::AttentionKinds(const architecture::ModelConfig& config, const at::Device& device)
    : device_(device) {
  for (const architecture::Layer& layer : config.layers) {
    const architecture::Attention& attention = layer.attention;
    Kind kind{attention.rope, attention.head_size, attention.window, {}};
    const auto known = std::find(kinds_.begin(), kinds_.end(), kind);
    kind_of_layer_.push_back(static_cast<size_t>(known - kinds_.begin()));
    if (known != kinds_.end()) continue;
    kind.frequencies = rotary_frequencies(kind.rope, kind.head_size).to(device);
    if (depends_on_length(kind.rope)) {
      kind.beyond_frequencies =
          rotary_frequencies(kind.rope, kind.head_size, /*beyond=*/true).to(device);
    }
    kinds_.push_back(std::move(kind));
  }
}

AttentionContexts AttentionKinds::contexts(const Batch& batch, int64_t past_length, bool rounded,
                                           const at::Tensor& planned_lengths) const {
  TORCH_CHECK(batch.ids.dim() == 2, "ids are [B, T], got ", batch.ids.sizes());
  const int64_t length = batch.ids.size(1);
  const at::Tensor positions = batch.places(past_length, device_);
  at::Tensor mask = batch.mask;
  if (!mask.defined() && batch.segments.defined()) {
    TORCH_CHECK(past_length == 0, "segments and a filled cache do not go together: pass a mask");
    mask = segment_mask(batch.segments.to(device_));
  }
  const at::Tensor segments = batch.segments.defined() ? batch.segments.to(device_) : at::Tensor();
  return make({positions, segments, mask, length, past_length, planned_lengths}, rounded);
}

AttentionContexts AttentionKinds::window_contexts(int64_t length, bool rounded) const {
  const at::Tensor positions =
      at::arange(length, at::device(device_).dtype(at::kLong)).unsqueeze(0);
  return make({.positions = positions, .segments = {}, .mask = {}, .length = length}, rounded);
}

// [R/2], or by token [B, T, R/2] where the length of its sequence decides.
at::Tensor AttentionKinds::frequencies(const Kind& kind, const Places& places) {
  if (!depends_on_length(kind.rope)) return kind.frequencies;
  const int64_t context = kind.rope.scaling->original_max_position_embeddings;
  at::Tensor lengths = sequence_lengths(places.positions, places.segments);
  if (places.planned_lengths.defined()) {
    lengths = lengths.maximum(places.planned_lengths.to(lengths.device()).unsqueeze(1));
  } else if (places.past_length > 0) {
    const at::Tensor grown =
        lengths.gt(context).logical_and(places.positions.narrow(1, 0, 1).le(context));
    TORCH_CHECK(!grown.any().item<bool>(), "a sequence grows beyond ", context,
                " tokens, where this model turns all of them differently; say its length before it "
                "starts (KeyValueCache::planned_lengths)");
  }
  return at::where(lengths.gt(context).unsqueeze(-1), kind.beyond_frequencies, kind.frequencies);
}

AttentionContexts AttentionKinds::make(const Places& places, bool rounded) const {
  AttentionContexts result{.kinds = {}, .kind_of_layer = kind_of_layer_};
  const at::Tensor& mask = places.mask;
  for (const Kind& kind : kinds_) {
    const RotaryTables tables =
        rotary_tables(frequencies(kind, places), places.positions, attention_factor(kind.rope));
    AttentionContext context{
        .cosine = tables.cosine, .sine = tables.sine, .mask = mask, .rounded = rounded};
    const int64_t keys = mask.defined() ? mask.size(-1) : places.past_length + places.length;
    if (kind.window && *kind.window < keys) {
      const at::Tensor window = window_mask(places.length, keys, *kind.window, device_);
      context.mask = mask.defined() ? mask.logical_and(window) : window;
    }
    result.kinds.push_back(std::move(context));
  }
  return result;
}

}  // namespace frugal::model
