#include "architecture/gguf_names.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "architecture/family.h"
#include "base/text.h"

namespace frugal::architecture {
namespace {

constexpr std::string_view kLayerPrefix = "blk.";
// llama-model.cpp, LLM_ARCH_GEMMA3: the 27B model is told by its depth.
constexpr int64_t kLayersOf27B = 62;

// LLM_TENSOR_* of llama.cpp.
constexpr std::array kStems = {
    RoleName{Role::kEmbedding, "token_embd"},
    RoleName{Role::kNormBeforeAttention, "attn_norm"},
    RoleName{Role::kQuery, "attn_q"},
    RoleName{Role::kKey, "attn_k"},
    RoleName{Role::kValue, "attn_v"},
    RoleName{Role::kQueryNorm, "attn_q_norm"},
    RoleName{Role::kKeyNorm, "attn_k_norm"},
    RoleName{Role::kAttentionOutput, "attn_output"},
    RoleName{Role::kNormAfterAttention, "post_attention_norm"},
    RoleName{Role::kNormBeforeFeedForward, "ffn_norm"},
    RoleName{Role::kGate, "ffn_gate"},
    RoleName{Role::kUp, "ffn_up"},
    RoleName{Role::kDown, "ffn_down"},
    RoleName{Role::kNormAfterFeedForward, "post_ffw_norm"},
    RoleName{Role::kFinalNorm, "output_norm"},
    RoleName{Role::kHead, "output"},
};

bool is_outside(Role role) {
  return role == Role::kEmbedding || role == Role::kFinalNorm || role == Role::kHead;
}

absl::Status check_windows(const ModelConfig& config, const Family& family) {
  if (family.gguf_windows) return absl::OkStatus();
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const std::optional<int64_t>& window = config.layers[i].attention.window;
    if (!window || *window >= config.context_length) continue;
    return base::unimplemented("llama.cpp's ", family.gguf, " has no sliding window, but layer ", i,
                               " sees ", *window, " tokens of a context of ", config.context_length,
                               "; lower max_position_embeddings to the window to use the model "
                               "inside it");
  }
  return absl::OkStatus();
}

absl::Status check_square_attention(const ModelConfig& config, const Family& family) {
  if (!family.gguf_square_attention) return absl::OkStatus();
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const Attention& attention = config.layers[i].attention;
    if (attention.query_width() == config.hidden_size) continue;
    return base::unimplemented("llama.cpp's ", family.gguf, " has as many query channels as the ",
                               "residual stream, but layer ", i, " has ", attention.heads,
                               " heads of ", attention.head_size, " and ", config.hidden_size,
                               " channels; keep all heads and channels to write a GGUF");
  }
  return absl::OkStatus();
}

}  // namespace

std::string gguf_tensor_name(Role role, int64_t layer) {
  const std::string_view suffix = is_bias(role) ? ".bias" : ".weight";
  for (const RoleName& entry : kStems) {
    if (entry.role != matrix_of(role)) continue;
    if (is_outside(role)) return base::str_cat(entry.stem, suffix);
    return base::str_cat(kLayerPrefix, layer, ".", entry.stem, suffix);
  }
  return "";
}

std::string gguf_stored_name(const ModelConfig& config, Role role, int64_t layer) {
  for (const Fusion& fusion : family_of(config).fusions) {
    const bool holds =
        std::find(fusion.roles.begin(), fusion.roles.end(), role) != fusion.roles.end();
    if (holds && !fusion.gguf.empty())
      return base::str_cat(kLayerPrefix, layer, ".", fusion.gguf, ".weight");
  }
  return gguf_tensor_name(role, layer);
}

std::optional<Place> gguf_place(std::string_view gguf_name) {
  Place place;
  std::string_view rest = gguf_name;
  if (rest.starts_with(kLayerPrefix)) {
    rest.remove_prefix(kLayerPrefix.size());
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), place.layer);
    if (error != std::errc() || place.layer < 0) return std::nullopt;
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    if (!rest.starts_with(".")) return std::nullopt;
    rest.remove_prefix(1);
  }
  const bool bias = rest.ends_with(".bias");
  if (!bias && !rest.ends_with(".weight")) return std::nullopt;
  const std::string_view stem = rest.substr(0, rest.rfind('.'));
  for (const RoleName& entry : kStems) {
    if (entry.stem != stem || is_outside(entry.role) != (place.layer == kNoLayer)) continue;
    place.role = bias ? bias_of(entry.role) : entry.role;
    if (bias && place.role == entry.role) return std::nullopt;
    return place;
  }
  return std::nullopt;
}

absl::StatusOr<std::string_view> gguf_architecture(const ModelConfig& config) {
  const Family& family = family_of(config);
  if (family.gguf.empty()) {
    return base::unimplemented("llama.cpp has no architecture for ", config.architecture);
  }
  FRUGAL_RETURN_IF_ERROR(check_windows(config, family));
  FRUGAL_RETURN_IF_ERROR(check_square_attention(config, family));
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const Activation activation = config.layers[i].feed_forward.activation;
    if (activation == gguf_activation(family.gguf)) continue;
    return base::unimplemented("llama.cpp's ", family.gguf, " computes ",
                               name(gguf_activation(family.gguf)), ", but layer ", i, " has ",
                               name(activation));
  }
  return family.gguf;
}

Activation gguf_activation(std::string_view gguf_architecture) {
  return gguf_architecture == "gemma3" ? Activation::kGeluTanh : Activation::kSilu;
}

bool gguf_windows(std::string_view gguf_architecture) {
  const std::span<const Family* const> all = families();
  return std::any_of(all.begin(), all.end(), [&](const Family* family) {
    return family->gguf == gguf_architecture && family->gguf_windows;
  });
}

int64_t gguf_score_width(const ModelConfig& config) {
  const Attention& attention = config.layers.front().attention;
  const bool by_stream = config.embedding_scale != 1.0 && config.layer_count() == kLayersOf27B;
  return by_stream ? config.hidden_size / attention.heads : attention.head_size;
}

int64_t gguf_interleaved_heads(const ModelConfig& config, Role role, int64_t layer) {
  if (!family_of(config).gguf_interleaves) return 0;
  const Attention& attention =
      config.layers.at(static_cast<size_t>(layer == kNoLayer ? 0 : layer)).attention;
  switch (matrix_of(role)) {
    case Role::kQuery:
      return attention.heads;
    case Role::kKey:
      return attention.key_value_heads;
    default:
      return 0;
  }
}

}  // namespace frugal::architecture
