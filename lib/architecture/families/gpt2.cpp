// Tested by: tests/architecture/families_test.cpp
// GPT-2 (Radford et al. 2019): LayerNorm, learned positions, a plain feed-forward, biases
// everywhere; matrices stored [in, out] (transformers' Conv1D), query, key and value as one.
#include <array>
#include <cmath>

#include "architecture/config_reader.h"
#include "architecture/families/families.h"

namespace frugal::architecture {
namespace {

using base::Json;

// transformers' defaults where the keys are absent (configuration_gpt2.py).
constexpr Defaults kDefaults = {.activation_key = "activation_function", .activation = "gelu_new"};
constexpr double kDefaultEpsilon = 1e-5;
constexpr int64_t kNeuronsPerChannel = 4;

constexpr std::array kNames = {
    RoleName{Role::kEmbedding, "transformer.wte"},
    RoleName{Role::kPositions, "transformer.wpe"},
    RoleName{Role::kNormBeforeAttention, "ln_1"},
    RoleName{Role::kQuery, "attn.q_proj"},
    RoleName{Role::kKey, "attn.k_proj"},
    RoleName{Role::kValue, "attn.v_proj"},
    RoleName{Role::kAttentionOutput, "attn.o_proj"},
    RoleName{Role::kNormBeforeFeedForward, "ln_2"},
    RoleName{Role::kUp, "mlp.up_proj"},
    RoleName{Role::kDown, "mlp.down_proj"},
    RoleName{Role::kFinalNorm, "transformer.ln_f"},
};
std::span<const RoleName> names() { return kNames; }

constexpr std::array kAttentionIn = {Role::kQuery, Role::kKey, Role::kValue};
constexpr std::array kAttentionOut = {Role::kAttentionOutput};
constexpr std::array kUp = {Role::kUp};
constexpr std::array kDown = {Role::kDown};
constexpr std::array kFusions = {
    Fusion{"attn.c_attn", kAttentionIn, "attn_qkv", /*transposed=*/true, /*biases=*/true},
    Fusion{"attn.c_proj", kAttentionOut, "", /*transposed=*/true, /*biases=*/true},
    Fusion{"mlp.c_fc", kUp, "", /*transposed=*/true, /*biases=*/true},
    Fusion{"mlp.c_proj", kDown, "", /*transposed=*/true, /*biases=*/true},
};
// The causal mask and what it fills in.
constexpr std::array<std::string_view, 2> kBuffers = {".attn.bias", ".attn.masked_bias"};

absl::Status read_heads(const Json& json, std::string_view where, int64_t width,
                        Attention& attention) {
  FRUGAL_ASSIGN_OR_RETURN(attention.heads, positive(json, "n_head", kMaxWidth, where));
  if (width % (2 * attention.heads) != 0) {
    return base::invalid_argument(where, ": 'n_embd' is ", width,
                                  ", expected an even number of channels for each of 'n_head' ",
                                  attention.heads);
  }
  attention.key_value_heads = attention.heads;
  attention.head_size = width / attention.heads;
  attention.score_scale = 1.0 / std::sqrt(static_cast<double>(attention.head_size));
  attention.input_bias = attention.output_bias = true;
  attention.rope.channels = 0;
  return absl::OkStatus();
}

absl::Status describe(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(refuse_true(
      json, where,
      {"scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "add_cross_attention"}));
  FRUGAL_RETURN_IF_ERROR(refuse_other(json, where, true, {"scale_attn_weights"}));
  FRUGAL_ASSIGN_OR_RETURN(config.vocabulary_size,
                          positive(json, "vocab_size", kMaxVocabulary, where));
  FRUGAL_ASSIGN_OR_RETURN(config.hidden_size, positive(json, "n_embd", kMaxWidth, where));
  FRUGAL_ASSIGN_OR_RETURN(config.context_length, positive(json, "n_positions", kMaxContext, where));
  config.learned_positions = true;
  config.final_norm.centered = true;
  FRUGAL_ASSIGN_OR_RETURN(config.final_norm.epsilon,
                          positive_number_or(json, "layer_norm_epsilon", kDefaultEpsilon, where));
  Layer layer;
  FRUGAL_RETURN_IF_ERROR(read_heads(json, where, config.hidden_size, layer.attention));
  layer.before_attention = layer.before_feed_forward = config.final_norm;
  FeedForward& feed_forward = layer.feed_forward;
  feed_forward.gated = false;
  feed_forward.bias = true;
  FRUGAL_ASSIGN_OR_RETURN(
      feed_forward.width,
      positive_or(json, "n_inner", kNeuronsPerChannel * config.hidden_size, kMaxWidth, where));
  FRUGAL_ASSIGN_OR_RETURN(feed_forward.activation, read_activation(json, where, kDefaults));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t layers, positive(json, "n_layer", kMaxLayers, where));
  config.layers.assign(static_cast<size_t>(layers), layer);
  FRUGAL_ASSIGN_OR_RETURN(config.tied_embeddings,
                          base::json_get_or<bool>(json, "tie_word_embeddings", true, where));
  FRUGAL_ASSIGN_OR_RETURN(
      config.initializer_range,
      positive_number_or(json, "initializer_range", config.initializer_range, where));
  return read_token_ids(json, where, config);
}

void write(const ModelConfig& config, Json& json) {
  const Layer& layer = config.layers.front();
  json["vocab_size"] = config.vocabulary_size;
  json["n_embd"] = config.hidden_size;
  json["n_positions"] = config.context_length;
  json["layer_norm_epsilon"] = config.final_norm.epsilon;
  json["n_head"] = layer.attention.heads;
  json["n_inner"] = layer.feed_forward.width;
  json["n_layer"] = config.layer_count();
  json["tie_word_embeddings"] = config.tied_embeddings;
  write_token_ids(config, json);
}

}  // namespace

const Family kGpt2 = {
    .architecture = "GPT2LMHeadModel",
    .model_type = "gpt2",
    .describe = describe,
    .write = write,
    .names = names,
    .layer_prefix = "transformer.h.",
    .optional_prefix = "transformer.",
    .buffers = kBuffers,
    .fusions = kFusions,
    .heads_fill_stream = true,
    .gguf = "gpt2",
    .graph = {.square_attention = true,
              .square_keys = true,
              .rotation_period = 1,
              .centered_norms = true,
              .activation = Activation::kGeluTanh},
    .genai = "decoder"};  // its "gpt2" takes another graph, with key and value in one tensor

}  // namespace frugal::architecture
