#include "model/layer_runner.h"

#include <cmath>
#include <tuple>

#include "model/attention.h"
#include "model/normalize.h"
#include "model/rotary.h"
#include "tensor/aten.h"

namespace frugal::model {
namespace {

using architecture::Activation;
using architecture::Role;

enum Place : size_t { kAttentionIn, kAttentionOut, kFeedForwardIn, kFeedForwardOut };
static_assert(kFeedForwardIn == architecture::kAttentionStages);

const at::Tensor& parameter(const LayerParameters& parameters, Role role) {
  const auto found = parameters.find(role);
  TORCH_CHECK(found != parameters.end(), "a parameter of the layer is missing");
  return found->second;
}

at::Tensor norm(const architecture::Norm& norm, const at::Tensor& x, const at::Tensor& weight,
                const at::Tensor& bias = {}) {
  const at::Tensor gain = norm.one_plus ? weight.to(at::kFloat) + 1.0 : weight;
  return norm.centered ? layer_norm(x, gain, bias, norm.epsilon) : rms_norm(x, gain, norm.epsilon);
}

at::Tensor with_bias(const at::Tensor& x, Role matrix, const LayerParameters& parameters) {
  const auto bias = parameters.find(architecture::bias_of(matrix));
  return bias == parameters.end() ? x : x + bias->second;
}

// x through a norm where there is one.
at::Tensor normed(const std::optional<architecture::Norm>& maybe, const at::Tensor& x, Role gain,
                  const LayerParameters& parameters) {
  if (!maybe) return x;
  if (!maybe->centered) return norm(*maybe, x, parameter(parameters, gain));
  return norm(*maybe, x, parameter(parameters, gain),
              parameter(parameters, architecture::bias_of(gain)));
}

// x += the output of attention or feed-forward, through the norm behind it where there is one.
at::Tensor added(const at::Tensor& residual, const at::Tensor& output, Role matrix,
                 const std::optional<architecture::Norm>& behind, Role gain, double multiplier,
                 const LayerParameters& parameters) {
  const at::Tensor addend = normed(behind, with_bias(output, matrix, parameters), gain, parameters);
  return residual + (multiplier == 1.0 ? addend : addend * multiplier);
}

at::Tensor activated(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kSilu:
      break;
  }
  return at::silu(x);
}

// What the last matrix of a feed-forward reads.
at::Tensor neurons(const std::vector<at::Tensor>& outputs,
                   const architecture::FeedForward& feed_forward,
                   const LayerParameters& parameters) {
  if (!feed_forward.gated) {
    return activated(with_bias(outputs.at(0), Role::kUp, parameters), feed_forward.activation);
  }
  TORCH_CHECK(outputs.size() == 2, "gate and up are 2 outputs, got ", outputs.size());
  return activated(with_bias(outputs[0], Role::kGate, parameters), feed_forward.activation)
      .mul_(with_bias(outputs[1], Role::kUp, parameters));
}

// What the experts of a layer read is there: sends its rows to them.
void begin_experts(LayerState& state, const architecture::Layer& layer,
                   const LayerParameters& parameters) {
  state.routing = route(state.input.rows, parameter(parameters, Role::kRouter), *layer.experts);
  state.input = state.routing.input_of(0);
}

// [B, T, heads * D] -> [B, heads, T, D].
at::Tensor split_heads(const at::Tensor& x, int64_t heads, int64_t size) {
  return x.view({x.size(0), x.size(1), heads, size}).transpose(1, 2);
}

}  // namespace

at::Tensor LayerRunner::embed(const Embedding& embedding, const at::Tensor& ids,
                              const at::Tensor& places) const {
  at::Tensor x = at::embedding(embedding.table, ids);
  if (config_.embedding_scale != 1.0)
    x = x * at::tensor(config_.embedding_scale, at::kDouble).to(x.scalar_type()).to(x.device());
  if (!config_.learned_positions) return x;
  const at::Tensor rows = places.defined()
                              ? places.to(x.device())
                              : at::arange(ids.size(-1), at::device(x.device()).dtype(at::kLong));
  const int64_t length = rows.numel() == 0 ? 0 : rows.max().item<int64_t>() + 1;
  TORCH_CHECK(length <= config_.context_length, "a sequence of ", length,
              " tokens is longer than the ", config_.context_length,
              " positions that the model has learned");
  return x + at::embedding(embedding.positions, rows);
}

LayerState LayerRunner::begin(int64_t layer, const at::Tensor& x,
                              const LayerParameters& parameters) const {
  const architecture::Layer& at = config_.layers.at(static_cast<size_t>(layer));
  return {x, {normed(at.before_attention, x, Role::kNormBeforeAttention, parameters)}};
}

void LayerRunner::advance(LayerState& state, const architecture::StageRef& at,
                          const std::vector<at::Tensor>& outputs, const LayerParameters& parameters,
                          const AttentionContexts& contexts, KeyValueCache* cache) const {
  const architecture::Layer& layer = config_.layers.at(static_cast<size_t>(at.layer));
  if (layer.experts && at.stage >= kFeedForwardIn) {
    advance_expert(state, at, layer, outputs, parameters);
    return;
  }
  switch (at.stage) {
    case kAttentionIn:
      state.input = {
          attend(layer.attention, outputs, parameters, contexts.of(at.layer), at.layer, cache)};
      return;
    case kAttentionOut:
      state.residual =
          added(state.residual, outputs.at(0), Role::kAttentionOutput, layer.after_attention,
                Role::kNormAfterAttention, layer.residual_multiplier, parameters);
      state.input = {normed(layer.before_feed_forward, state.residual, Role::kNormBeforeFeedForward,
                            parameters)};
      if (layer.experts) begin_experts(state, layer, parameters);
      return;
    case kFeedForwardIn:
      state.input = {neurons(outputs, layer.feed_forward, parameters)};
      return;
    case kFeedForwardOut:
      state.residual = added(state.residual, outputs.at(0), Role::kDown, layer.after_feed_forward,
                             Role::kNormAfterFeedForward, layer.residual_multiplier, parameters);
      state.input = {};
      return;
  }
  TORCH_CHECK(false, "a layer has 4 stages, asked for stage ", at.stage);
}

void LayerRunner::advance_expert(LayerState& state, const architecture::StageRef& at,
                                 const architecture::Layer& layer,
                                 const std::vector<at::Tensor>& outputs,
                                 const LayerParameters& parameters) const {
  const auto place = static_cast<int64_t>(at.stage - kFeedForwardIn);
  const int64_t expert = place / 2, count = layer.experts->count;
  TORCH_CHECK(expert < count, "a layer of ", count, " experts has no stage ", at.stage);
  if (place % 2 == 0) {
    state.input.rows = neurons(outputs, layer.feed_forward, parameters);
    return;
  }
  state.routing.outputs.push_back(outputs.at(0));
  if (expert + 1 < count) {
    state.input = state.routing.input_of(expert + 1);
    return;
  }
  state.residual =
      added(state.residual, state.routing.mixed(), Role::kDown, layer.after_feed_forward,
            Role::kNormAfterFeedForward, layer.residual_multiplier, parameters);
  state.input = {};
}

at::Tensor LayerRunner::attend(const architecture::Attention& attention,
                               std::vector<at::Tensor> outputs, const LayerParameters& parameters,
                               const AttentionContext& context, int64_t layer,
                               KeyValueCache* cache) const {
  TORCH_CHECK(outputs.size() == 3, "query, key and value are 3 outputs, got ", outputs.size());
  const int64_t size = attention.head_size;
  const auto heads = [&](size_t i, Role matrix, int64_t count, Role gain) {
    at::Tensor x = with_bias(outputs[i], matrix, parameters);
    const bool normed = attention.query_key_norm && gain != matrix;
    if (normed && attention.norm_spans_heads)
      x = norm(*attention.query_key_norm, x, parameter(parameters, gain));
    x = split_heads(x, count, size);
    if (normed && !attention.norm_spans_heads)
      x = norm(*attention.query_key_norm, x, parameter(parameters, gain));
    return x;
  };
  at::Tensor query = heads(0, Role::kQuery, attention.heads, Role::kQueryNorm);
  at::Tensor key = heads(1, Role::kKey, attention.key_value_heads, Role::kKeyNorm);
  at::Tensor value = heads(2, Role::kValue, attention.key_value_heads, Role::kValue);
  query = rotate(query, context.cosine, context.sine);
  key = rotate(key, context.cosine, context.sine);
  // The products below scale scores by 1 / sqrt(D).
  const double scale = attention.score_scale * std::sqrt(static_cast<double>(size));
  if (std::fabs(scale - 1.0) > 1e-12) query = query * scale;
  if (cache != nullptr) std::tie(key, value) = cache->append(layer, key, value);
  const bool rounded = context.rounded && !context.mask.defined() && cache == nullptr;
  const at::Tensor mixed =
      attention.score_cap ? capped_attention(query, key, value, context.mask, *attention.score_cap)
      : rounded           ? rounded_causal_attention(query, key, value)
                          : grouped_query_attention(query, key, value, context.mask);
  return mixed.transpose(1, 2).reshape({mixed.size(0), mixed.size(2), attention.query_width()});
}

at::Tensor LayerRunner::final_norm(const at::Tensor& x, const NormWeights& weights) const {
  return norm(config_.final_norm, x, weights.gain, weights.bias);
}

at::Tensor LayerRunner::normalize(const at::Tensor& x) const {
  return rms_norm(x, at::ones({x.size(-1)}, x.options().dtype(at::kFloat)),
                  config_.final_norm.epsilon);
}

at::Tensor head_logits(const at::Tensor& hidden, const Head& head) {
  return ruled_logits(at::linear(hidden, head.weight), head.rule);
}

at::Tensor ruled_logits(const at::Tensor& products, const architecture::LogitRule& rule) {
  at::Tensor logits = products.to(at::kFloat);
  if (rule.scale != 1.0) logits = logits * rule.scale;
  if (rule.cap) logits = (logits / *rule.cap).tanh() * *rule.cap;
  return logits;
}

at::Tensor gradient_by_products(const at::Tensor& gradient, const at::Tensor& logits,
                                const architecture::LogitRule& rule) {
  if (rule.changes_nothing()) return gradient;
  at::Tensor result = gradient;
  if (rule.cap) result = result * (1.0 - (logits / *rule.cap).square());
  return rule.scale == 1.0 ? result : result * rule.scale;
}

}  // namespace frugal::model
