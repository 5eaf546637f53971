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

const at::Tensor& parameter(const LayerParameters& parameters, Role role) {
  const auto found = parameters.find(role);
  TORCH_CHECK(found != parameters.end(), "a parameter of the layer is missing");
  return found->second;
}

at::Tensor norm(const architecture::Norm& norm, const at::Tensor& x, const at::Tensor& weight) {
  return rms_norm(x, norm.one_plus ? weight.to(at::kFloat) + 1.0 : weight, norm.epsilon);
}

at::Tensor with_bias(const at::Tensor& x, Role matrix, const LayerParameters& parameters) {
  const auto bias = parameters.find(architecture::bias_of(matrix));
  return bias == parameters.end() ? x : x + bias->second;
}

// x += the output of attention or feed-forward, through the norm behind it where there is one.
at::Tensor added(const at::Tensor& residual, const at::Tensor& output, Role matrix,
                 const std::optional<architecture::Norm>& behind, Role gain,
                 const LayerParameters& parameters) {
  const at::Tensor biased = with_bias(output, matrix, parameters);
  return residual + (behind ? norm(*behind, biased, parameter(parameters, gain)) : biased);
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

// [B, T, heads * D] -> [B, heads, T, D].
at::Tensor split_heads(const at::Tensor& x, int64_t heads, int64_t size) {
  return x.view({x.size(0), x.size(1), heads, size}).transpose(1, 2);
}

}  // namespace

at::Tensor LayerRunner::embed(const at::Tensor& table, const at::Tensor& ids) const {
  const at::Tensor x = at::embedding(table, ids);
  if (config_.embedding_scale == 1.0) return x;
  return x * at::tensor(config_.embedding_scale, at::kDouble).to(x.scalar_type()).to(x.device());
}

LayerState LayerRunner::begin(int64_t layer, const at::Tensor& x,
                              const LayerParameters& parameters) const {
  const architecture::Layer& at = config_.layers.at(static_cast<size_t>(layer));
  return {x, {norm(at.before_attention, x, parameter(parameters, Role::kNormBeforeAttention))}};
}

void LayerRunner::advance(LayerState& state, const architecture::StageRef& at,
                          const std::vector<at::Tensor>& outputs, const LayerParameters& parameters,
                          const AttentionContexts& contexts, KeyValueCache* cache) const {
  const architecture::Layer& layer = config_.layers.at(static_cast<size_t>(at.layer));
  switch (at.stage) {
    case kAttentionIn:
      state.input = {
          attend(layer.attention, outputs, parameters, contexts.of(at.layer), at.layer, cache)};
      return;
    case kAttentionOut:
      state.residual = added(state.residual, outputs.at(0), Role::kAttentionOutput,
                             layer.after_attention, Role::kNormAfterAttention, parameters);
      state.input = {norm(layer.before_feed_forward, state.residual,
                          parameter(parameters, Role::kNormBeforeFeedForward))};
      return;
    case kFeedForwardIn:
      TORCH_CHECK(outputs.size() == 2, "gate and up are 2 outputs, got ", outputs.size());
      state.input = {
          activated(with_bias(outputs[0], Role::kGate, parameters), layer.feed_forward.activation)
              .mul_(with_bias(outputs[1], Role::kUp, parameters))};
      return;
    case kFeedForwardOut:
      state.residual = added(state.residual, outputs.at(0), Role::kDown, layer.after_feed_forward,
                             Role::kNormAfterFeedForward, parameters);
      state.input = {};
      return;
  }
  TORCH_CHECK(false, "a layer has 4 stages, asked for stage ", at.stage);
}

at::Tensor LayerRunner::attend(const architecture::Attention& attention,
                               std::vector<at::Tensor> outputs, const LayerParameters& parameters,
                               const AttentionContext& context, int64_t layer,
                               KeyValueCache* cache) const {
  TORCH_CHECK(outputs.size() == 3, "query, key and value are 3 outputs, got ", outputs.size());
  const int64_t size = attention.head_size;
  const auto heads = [&](size_t i, Role matrix, int64_t count) {
    return split_heads(with_bias(outputs[i], matrix, parameters), count, size);
  };
  at::Tensor query = heads(0, Role::kQuery, attention.heads);
  at::Tensor key = heads(1, Role::kKey, attention.key_value_heads);
  at::Tensor value = heads(2, Role::kValue, attention.key_value_heads);
  if (attention.head_norm) {
    query = norm(*attention.head_norm, query, parameter(parameters, Role::kQueryNorm));
    key = norm(*attention.head_norm, key, parameter(parameters, Role::kKeyNorm));
  }
  query = rotate(query, context.cosine, context.sine);
  key = rotate(key, context.cosine, context.sine);
  // The products below scale scores by 1 / sqrt(D).
  const double scale = attention.score_scale * std::sqrt(static_cast<double>(size));
  if (std::fabs(scale - 1.0) > 1e-12) query = query * scale;
  if (cache != nullptr) std::tie(key, value) = cache->append(layer, key, value);
  const bool rounded = context.rounded && !context.mask.defined() && cache == nullptr;
  const at::Tensor mixed = rounded ? rounded_causal_attention(query, key, value)
                                   : grouped_query_attention(query, key, value, context.mask);
  return mixed.transpose(1, 2).reshape({mixed.size(0), mixed.size(2), attention.query_width()});
}

at::Tensor LayerRunner::final_norm(const at::Tensor& x, const at::Tensor& weight) const {
  return norm(config_.final_norm, x, weight);
}

at::Tensor LayerRunner::normalize(const at::Tensor& x) const {
  return rms_norm(x, at::ones({x.size(-1)}, x.options().dtype(at::kFloat)),
                  config_.final_norm.epsilon);
}

at::Tensor head_logits(const at::Tensor& hidden, const at::Tensor& weight) {
  return at::linear(hidden, weight).to(at::kFloat);
}

}  // namespace frugal::model
