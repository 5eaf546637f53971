#include "architecture/tensors.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "architecture/family.h"
#include "base/text.h"

namespace frugal::architecture {
namespace {

constexpr std::string_view kWeightSuffix = ".weight", kBiasSuffix = ".bias";

// The names that most families use (transformers' Llama); a family lists what differs.
constexpr std::array kStems = {
    RoleName{Role::kEmbedding, "model.embed_tokens"},
    RoleName{Role::kNormBeforeAttention, "input_layernorm"},
    RoleName{Role::kQuery, "self_attn.q_proj"},
    RoleName{Role::kKey, "self_attn.k_proj"},
    RoleName{Role::kValue, "self_attn.v_proj"},
    RoleName{Role::kQueryNorm, "self_attn.q_norm"},
    RoleName{Role::kKeyNorm, "self_attn.k_norm"},
    RoleName{Role::kAttentionOutput, "self_attn.o_proj"},
    RoleName{Role::kNormBeforeFeedForward, "post_attention_layernorm"},
    RoleName{Role::kRouter, "mlp.gate"},
    RoleName{Role::kGate, "mlp.gate_proj"},
    RoleName{Role::kUp, "mlp.up_proj"},
    RoleName{Role::kDown, "mlp.down_proj"},
    RoleName{Role::kFinalNorm, "model.norm"},
    RoleName{Role::kHead, "lm_head"},
};

// The tensors of a layer of stacked experts (transformers' models of all families alike).
constexpr std::string_view kRouterOfStacks = "mlp.gate.weight";
constexpr std::string_view kInStack = "mlp.experts.gate_up_proj";  // [E, 2 F, C], gates first
constexpr std::string_view kOutStack = "mlp.experts.down_proj";    // [E, C, F]

bool is_outside(Role role) {
  switch (matrix_of(role)) {
    case Role::kEmbedding:
    case Role::kPositions:
    case Role::kFinalNorm:
    case Role::kHead:
      return true;
    default:
      return false;
  }
}

using Shape = std::vector<int64_t>;

// Calls add(role, shape) for every tensor of a feed-forward.
template <typename Add>
void for_each_role(const FeedForward& feed_forward, int64_t width, const Add& add) {
  const int64_t neurons = feed_forward.width;
  if (feed_forward.gated) add(Role::kGate, Shape{neurons, width});
  add(Role::kUp, Shape{neurons, width});
  if (feed_forward.bias) {
    if (feed_forward.gated) add(Role::kGateBias, Shape{neurons});
    add(Role::kUpBias, Shape{neurons});
  }
  add(Role::kDown, Shape{width, neurons});
  if (feed_forward.bias) add(Role::kDownBias, Shape{width});
}

// Calls add(role, shape, expert) for every tensor of a layer.
template <typename Add>
void for_each_role(const ModelConfig& config, const Layer& layer, const Add& add_to) {
  const Attention& attention = layer.attention;
  const int64_t width = config.hidden_size;
  const auto add = [&](Role role, Shape shape) { add_to(role, std::move(shape), kNoExpert); };
  const int64_t query = attention.query_width(), key_value = attention.key_value_width();
  const auto norm = [&](const std::optional<Norm>& maybe, Role gain) {
    if (maybe) add(gain, Shape{width});
    if (maybe && maybe->centered) add(bias_of(gain), Shape{width});
  };
  norm(layer.before_attention, Role::kNormBeforeAttention);
  add(Role::kQuery, Shape{query, width});
  add(Role::kKey, Shape{key_value, width});
  add(Role::kValue, Shape{key_value, width});
  if (attention.input_bias) {
    add(Role::kQueryBias, Shape{query});
    add(Role::kKeyBias, Shape{key_value});
    add(Role::kValueBias, Shape{key_value});
  }
  if (attention.query_key_norm) {
    const bool spans = attention.norm_spans_heads;
    add(Role::kQueryNorm, Shape{spans ? query : attention.head_size});
    add(Role::kKeyNorm, Shape{spans ? key_value : attention.head_size});
  }
  add(Role::kAttentionOutput, Shape{width, query});
  if (attention.output_bias) add(Role::kAttentionOutputBias, Shape{width});
  if (layer.after_attention) add(Role::kNormAfterAttention, Shape{width});
  norm(layer.before_feed_forward, Role::kNormBeforeFeedForward);
  if (layer.experts) {
    add(Role::kRouter, Shape{layer.experts->count, width});
    for (int64_t expert = 0; expert < layer.experts->count; ++expert) {
      for_each_role(layer.feed_forward, width,
                    [&](Role role, Shape shape) { add_to(role, std::move(shape), expert); });
    }
  } else {
    for_each_role(layer.feed_forward, width, add);
  }
  if (layer.after_feed_forward) add(Role::kNormAfterFeedForward, Shape{width});
}

// Makes slices of one tensor `name` of those in `layer` that have these roles, in their order.
void fuse(std::span<const Role> roles, const std::string& name, bool transposed,
          std::span<Tensor> layer) {
  std::vector<Tensor*> parts;
  int64_t rows = 0;
  for (const Role role : roles) {
    parts.push_back(&*std::find_if(layer.begin(), layer.end(),
                                   [&](const Tensor& tensor) { return tensor.role == role; }));
    parts.back()->slice = Slice{.name = name, .first_row = rows, .transposed = transposed};
    rows += parts.back()->shape.front();
  }
  for (Tensor* const part : parts) {
    Shape shape = part->shape;
    shape.front() = rows;
    if (transposed) std::swap(shape.front(), shape.back());
    part->slice->shape = std::move(shape);
  }
}

void fuse(const Fusion& fusion, const std::string& prefix, std::span<Tensor> layer) {
  const std::string stem = base::str_cat(prefix, fusion.stem);
  fuse(fusion.roles, base::str_cat(stem, kWeightSuffix), fusion.transposed, layer);
  if (!fusion.biases) return;
  std::vector<Role> biases;
  for (const Role role : fusion.roles) biases.push_back(bias_of(role));
  fuse(biases, base::str_cat(stem, kBiasSuffix), false, layer);
}

// Makes slices of stacks of a layer's experts, and gives the router its name beside them.
void stack(const Layer& layer, const std::string& prefix, std::span<Tensor> tensors) {
  const int64_t count = layer.experts->count;
  for (Tensor& tensor : tensors) {
    const std::string router = base::str_cat(prefix, kRouterOfStacks);
    if (tensor.role == Role::kRouter && tensor.name != router)
      tensor.slice = Slice{.name = router, .shape = tensor.shape};
    if (tensor.expert == kNoExpert) continue;
    const int64_t rows = tensor.shape.front(), columns = tensor.shape.back();
    const bool down = tensor.role == Role::kDown;
    const int64_t all_rows = down ? rows : 2 * rows;
    tensor.slice =
        Slice{.name = base::str_cat(prefix, down ? kOutStack : kInStack),
              .shape = {count, all_rows, columns},
              .first_row = tensor.expert * all_rows + (tensor.role == Role::kUp ? rows : 0)};
  }
}

void add_layer(const ModelConfig& config, int64_t index, std::vector<Tensor>& result) {
  const size_t begin = result.size();
  const Family& family = family_of(config);
  const Layer& layer = config.layers.at(static_cast<size_t>(index));
  for_each_role(config, layer, [&](Role role, Shape shape, int64_t expert) {
    result.push_back({.name = tensor_name(config, role, index, expert),
                      .shape = std::move(shape),
                      .role = role,
                      .layer = index,
                      .expert = expert});
  });
  const std::string prefix = base::str_cat(family.layer_prefix, index, ".");
  const std::span<Tensor> added = std::span(result).subspan(begin);
  for (const Fusion& fusion : family.fusions) fuse(fusion, prefix, added);
  if (config.stacked_experts && layer.experts) stack(layer, prefix, added);
}

}  // namespace

std::vector<Tensor> tensors(const ModelConfig& config) {
  std::vector<Tensor> result;
  result.reserve(config.layers.size() * 16 + 3);
  const auto outside = [&](Role role, Shape shape) {
    result.push_back({tensor_name(config, role), std::move(shape), role, kNoLayer});
  };
  outside(Role::kEmbedding, {config.vocabulary_size, config.hidden_size});
  if (config.learned_positions)
    outside(Role::kPositions, {config.context_length, config.hidden_size});
  for (int64_t layer = 0; layer < config.layer_count(); ++layer) add_layer(config, layer, result);
  outside(Role::kFinalNorm, {config.hidden_size});
  if (config.final_norm.centered) outside(Role::kFinalNormBias, {config.hidden_size});
  if (!config.tied_embeddings) outside(Role::kHead, {config.vocabulary_size, config.hidden_size});
  return result;
}

std::vector<Tensor> layer_tensors(const ModelConfig& config, int64_t layer) {
  std::vector<Tensor> result;
  add_layer(config, layer, result);
  return result;
}

std::string_view stem(const ModelConfig& config, Role role) {
  const Role wanted = matrix_of(role);
  const Family& family = family_of(config);
  for (const RoleName& entry :
       family.names == nullptr ? std::span<const RoleName>() : family.names()) {
    if (entry.role == wanted) return entry.stem;
  }
  for (const RoleName& entry : kStems) {
    if (entry.role == wanted) return entry.stem;
  }
  return "";  // of a role that only other families have, which they name
}

std::string tensor_name(const ModelConfig& config, Role role, int64_t layer, int64_t expert) {
  const std::string_view suffix = is_bias(role) ? kBiasSuffix : kWeightSuffix;
  if (is_outside(role)) return base::str_cat(stem(config, role), suffix);
  const Family& family = family_of(config);
  if (expert == kNoExpert)
    return base::str_cat(family.layer_prefix, layer, ".", stem(config, role), suffix);
  return base::str_cat(family.layer_prefix, layer, ".", family.experts.stem, ".", expert, ".",
                       family.experts.of(matrix_of(role)), suffix);
}

std::string head_name(const ModelConfig& config) {
  return tensor_name(config, config.tied_embeddings ? Role::kEmbedding : Role::kHead);
}

std::map<std::string, Place, std::less<>> places(const ModelConfig& config) {
  std::map<std::string, Place, std::less<>> result;
  for (Tensor& tensor : tensors(config))
    result.emplace(std::move(tensor.name), Place{tensor.role, tensor.layer, tensor.expert});
  return result;
}

std::string whole_name(const ModelConfig& config, std::string_view stored) {
  const std::string_view prefix = family_of(config).optional_prefix;
  const bool whole = stored.starts_with(prefix) || stored == tensor_name(config, Role::kHead);
  return base::str_cat(whole ? "" : prefix, stored);
}

bool is_buffer(const ModelConfig& config, std::string_view stored) {
  const auto ends = family_of(config).buffers;
  return std::any_of(ends.begin(), ends.end(),
                     [&](std::string_view end) { return stored.ends_with(end); });
}

const Norm& norm_of(const ModelConfig& config, Role role, int64_t layer) {
  if (role == Role::kFinalNorm) return config.final_norm;
  const Layer& at = config.layers.at(static_cast<size_t>(layer));
  switch (role) {
    case Role::kNormAfterAttention:
      return at.after_attention.value();
    case Role::kNormBeforeFeedForward:
      return at.before_feed_forward.value();
    case Role::kNormAfterFeedForward:
      return at.after_feed_forward.value();
    case Role::kQueryNorm:
    case Role::kKeyNorm:
      return at.attention.query_key_norm.value();
    default:
      return at.before_attention.value();
  }
}

double stored_offset(const ModelConfig& config, Role role, int64_t layer) {
  return is_norm(role) && norm_of(config, role, layer).one_plus ? 1.0 : 0.0;
}

StreamUses stream_uses(const ModelConfig& config) {
  StreamUses uses;
  for (const Tensor& tensor : tensors(config)) {
    switch (tensor.role) {
      case Role::kNormBeforeAttention:
      case Role::kNormAfterAttention:
      case Role::kNormBeforeFeedForward:
      case Role::kNormAfterFeedForward:
      case Role::kFinalNorm:
        uses.emplace(tensor.name, StreamUse::kGains);
        break;
      case Role::kEmbedding:
      case Role::kPositions:
      case Role::kHead:
      case Role::kQuery:
      case Role::kKey:
      case Role::kValue:
      case Role::kRouter:
      case Role::kGate:
      case Role::kUp:
        uses.emplace(tensor.name, StreamUse::kReads);
        break;
      case Role::kAttentionOutput:
      case Role::kDown:
        uses.emplace(tensor.name, StreamUse::kWrites);
        break;
      case Role::kAttentionOutputBias:
      case Role::kDownBias:
      case Role::kNormBeforeAttentionBias:
      case Role::kNormBeforeFeedForwardBias:
      case Role::kFinalNormBias:
        uses.emplace(tensor.name, StreamUse::kOffsets);
        break;
      case Role::kQueryBias:
      case Role::kKeyBias:
      case Role::kValueBias:
      case Role::kQueryNorm:
      case Role::kKeyNorm:
      case Role::kGateBias:
      case Role::kUpBias:
        break;
    }
  }
  return uses;
}

}  // namespace frugal::architecture
