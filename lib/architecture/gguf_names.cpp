#include "architecture/gguf_names.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "architecture/family.h"
#include "base/text.h"

namespace frugal::architecture {
namespace {

constexpr std::string_view kLayerPrefix = "blk.";
// llama-model.cpp, LLM_ARCH_GEMMA2 and 3: the 27B models are told by their depth.
constexpr std::array<int64_t, 2> kLayersOf27B = {46, 62};

// LLM_TENSOR_* of llama.cpp.
constexpr std::array kStems = {
    RoleName{Role::kEmbedding, "token_embd"},
    RoleName{Role::kPositions, "position_embd"},
    RoleName{Role::kNormBeforeAttention, "attn_norm"},
    RoleName{Role::kQuery, "attn_q"},
    RoleName{Role::kKey, "attn_k"},
    RoleName{Role::kValue, "attn_v"},
    RoleName{Role::kQueryNorm, "attn_q_norm"},
    RoleName{Role::kKeyNorm, "attn_k_norm"},
    RoleName{Role::kAttentionOutput, "attn_output"},
    RoleName{Role::kNormAfterAttention, "post_attention_norm"},
    RoleName{Role::kNormBeforeFeedForward, "ffn_norm"},
    RoleName{Role::kRouter, "ffn_gate_inp"},
    RoleName{Role::kGate, "ffn_gate"},
    RoleName{Role::kUp, "ffn_up"},
    RoleName{Role::kDown, "ffn_down"},
    RoleName{Role::kNormAfterFeedForward, "post_ffw_norm"},
    RoleName{Role::kFinalNorm, "output_norm"},
    RoleName{Role::kHead, "output"},
};

bool is_outside(Role matrix) {
  return matrix == Role::kEmbedding || matrix == Role::kPositions || matrix == Role::kFinalNorm ||
         matrix == Role::kHead;
}

// Stacks of all experts of a layer.
constexpr std::array kStacks = {
    RoleName{Role::kGate, "ffn_gate_exps"},
    RoleName{Role::kUp, "ffn_up_exps"},
    RoleName{Role::kDown, "ffn_down_exps"},
};

absl::Status check_windows(const ModelConfig& config, const Family& family) {
  const GgufGraph& graph = family.graph;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const std::optional<int64_t>& window = config.layers[i].attention.window;
    if (graph.window_period == 0) {
      if (!window || *window >= config.context_length) continue;
      return base::unimplemented(
          "llama.cpp's ", family.gguf, " has no sliding window, but layer ", i, " sees ", *window,
          " tokens of a context of ", config.context_length,
          "; lower max_position_embeddings to the window to use the model inside it");
    }
    if (graph.window_pattern) continue;
    const bool windowed = static_cast<int64_t>(i + 1) % graph.window_period != 0;
    if (window.has_value() == windowed) continue;
    return base::unimplemented("llama.cpp's ", family.gguf,
                               " has a window in every layer but each ", graph.window_period,
                               "th, but layer ", i, windowed ? " has none" : " has one");
  }
  return absl::OkStatus();
}

absl::Status check_rotations(const ModelConfig& config, const Family& family) {
  const int64_t period = family.graph.rotation_period;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const Rope& rope = config.layers[i].attention.rope;
    const bool turns = period == 0 || static_cast<int64_t>(i + 1) % period != 0;
    if ((rope.channels == 0) == turns) {
      return base::unimplemented("llama.cpp's ", family.gguf, " expects positions in ",
                                 period == 0 ? std::string("every layer")
                                             : base::str_cat("all layers but each ", period, "th"),
                                 ", but layer ", i, turns ? " has none" : " has some");
    }
    const auto& scaling = rope.scaling;
    if (scaling && scaling->kind == RopeScaling::Kind::kLongRope && !family.graph.long_factors) {
      return base::unimplemented("llama.cpp's ", family.gguf,
                                 " has no two sets of rotary factors (longrope)");
    }
  }
  return absl::OkStatus();
}

absl::Status check_multipliers(const ModelConfig& config, const Family& family) {
  if (family.graph.multipliers) return absl::OkStatus();
  for (size_t i = 0; i < config.layers.size(); ++i) {
    if (config.layers[i].residual_multiplier == 1.0) continue;
    return base::unimplemented("llama.cpp's ", family.gguf, " has no multiplier of what layer ", i,
                               " adds to the residual stream");
  }
  return absl::OkStatus();
}

absl::Status check_experts(const ModelConfig& config, const Family& family) {
  const GgufGraph& graph = family.graph;
  const std::optional<Experts>& first = config.layers.front().experts;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const std::optional<Experts>& experts = config.layers[i].experts;
    if (experts && !graph.experts)
      return base::unimplemented("llama.cpp's ", family.gguf, " has no experts");
    if (!experts && graph.all_experts) {
      return base::unimplemented("llama.cpp's ", family.gguf,
                                 " has experts in every layer, but layer ", i, " has none");
    }
    if (experts != first) {
      return base::unimplemented("llama.cpp's ", family.gguf,
                                 " has as many experts in every layer, but layer ", i, " has ",
                                 experts->count, " and the first ", first->count);
    }
    if (experts && experts->normalized != graph.normalized_experts) {
      return base::unimplemented("llama.cpp's ", family.gguf, " ",
                                 graph.normalized_experts ? "divides" : "does not divide",
                                 " the weights of a token's experts by their sum, this model ",
                                 experts->normalized ? "does" : "does not", " (norm_topk_prob)");
    }
  }
  return absl::OkStatus();
}

absl::Status check_square_attention(const ModelConfig& config, const Family& family) {
  if (!family.graph.square_attention) return absl::OkStatus();
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const Attention& attention = config.layers[i].attention;
    const bool keys_fit =
        !family.graph.square_keys || attention.key_value_width() == config.hidden_size;
    if (attention.query_width() == config.hidden_size && keys_fit) continue;
    return base::unimplemented(
        "llama.cpp's ", family.gguf, " has as many query channels as the ", "residual stream",
        family.graph.square_keys ? ", and key channels" : "", ", but layer ", i, " has ",
        attention.heads, " heads and ", attention.key_value_heads, " key/value heads of ",
        attention.head_size, " and ", config.hidden_size,
        " channels; keep all heads and channels to write a GGUF");
  }
  return absl::OkStatus();
}

}  // namespace

std::string gguf_tensor_name(Role role, int64_t layer) {
  const std::string_view suffix = is_bias(role) ? ".bias" : ".weight";
  for (const RoleName& entry : kStems) {
    if (entry.role != matrix_of(role)) continue;
    if (is_outside(entry.role)) return base::str_cat(entry.stem, suffix);
    return base::str_cat(kLayerPrefix, layer, ".", entry.stem, suffix);
  }
  return "";
}

std::string gguf_stored_name(const ModelConfig& config, Role role, int64_t layer) {
  for (const Fusion& fusion : family_of(config).fusions) {
    const bool holds =
        std::find(fusion.roles.begin(), fusion.roles.end(), matrix_of(role)) != fusion.roles.end();
    if (holds && !fusion.gguf.empty())
      return base::str_cat(kLayerPrefix, layer, ".", fusion.gguf,
                           is_bias(role) ? ".bias" : ".weight");
  }
  const bool has_experts =
      layer != kNoLayer && config.layers.at(static_cast<size_t>(layer)).experts.has_value();
  for (const RoleName& entry : kStacks) {
    if (has_experts && entry.role == role)
      return base::str_cat(kLayerPrefix, layer, ".", entry.stem, ".weight");
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
  FRUGAL_RETURN_IF_ERROR(check_rotations(config, family));
  FRUGAL_RETURN_IF_ERROR(check_multipliers(config, family));
  FRUGAL_RETURN_IF_ERROR(check_experts(config, family));
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const Activation activation = config.layers[i].feed_forward.activation;
    if (activation == family.graph.activation) continue;
    return base::unimplemented("llama.cpp's ", family.gguf, " computes ",
                               name(family.graph.activation), ", but layer ", i, " has ",
                               name(activation));
  }
  return family.gguf;
}

int64_t gguf_window_period(std::string_view gguf_architecture) {
  int64_t period = 0;
  for (const Family* const family : families()) {
    if (family->gguf == gguf_architecture) period = std::max(period, family->graph.window_period);
  }
  return period;
}

bool gguf_says_windows(std::string_view gguf_architecture) {
  return std::ranges::any_of(families(), [&](const Family* family) {
    return family->gguf == gguf_architecture && family->graph.window_pattern;
  });
}

bool gguf_centers_norms(std::string_view gguf_architecture) {
  return std::ranges::any_of(families(), [&](const Family* family) {
    return family->gguf == gguf_architecture && family->graph.centered_norms;
  });
}

int64_t gguf_score_width(const ModelConfig& config) {
  const Attention& attention = config.layers.front().attention;
  const bool deep = std::find(kLayersOf27B.begin(), kLayersOf27B.end(), config.layer_count()) !=
                    kLayersOf27B.end();
  const bool by_stream = config.embedding_scale != 1.0 && deep;
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
