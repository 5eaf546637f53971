#include "architecture/families/gemma.h"

#include <array>
#include <cmath>

namespace frugal::architecture {
namespace {

constexpr double kDefaultScalar = 256;  // query_pre_attn_scalar

constexpr std::array kNames = {
    RoleName{Role::kNormAfterAttention, "post_attention_layernorm"},
    RoleName{Role::kNormBeforeFeedForward, "pre_feedforward_layernorm"},
    RoleName{Role::kNormAfterFeedForward, "post_feedforward_layernorm"},
};

}  // namespace

std::span<const RoleName> gemma_names() { return kNames; }

absl::Status describe_gemma(const base::Json& json, std::string_view where,
                            const Defaults& defaults, ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(read_sizes(json, where, defaults, config));
  FRUGAL_RETURN_IF_ERROR(refuse_true(json, where, {"use_bidirectional_attention"}));
  FRUGAL_ASSIGN_OR_RETURN(const double scalar,
                          positive_number_or(json, "query_pre_attn_scalar", kDefaultScalar, where));
  FRUGAL_ASSIGN_OR_RETURN(const bool bias,
                          base::json_get_or<bool>(json, "attention_bias", false, where));
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden_size));
  config.final_norm.one_plus = true;
  for (Layer& layer : config.layers) {
    layer.before_attention = layer.before_feed_forward = config.final_norm;
    layer.after_attention = layer.after_feed_forward = config.final_norm;
    layer.attention.input_bias = layer.attention.output_bias = bias;
    layer.attention.score_scale = 1.0 / std::sqrt(scalar);
  }
  return absl::OkStatus();
}

}  // namespace frugal::architecture
