// Tested by: tests/architecture/families_test.cpp
// OLMo 2 (OLMo Team 2024): norms only behind attention and feed-forward, and over all query and key
// channels at once.
#include <array>

#include "architecture/config_reader.h"
#include "architecture/families/families.h"

namespace frugal::architecture {
namespace {

using base::Json;

constexpr Defaults kDefaults;

constexpr std::array kNames = {
    RoleName{Role::kNormAfterAttention, "post_attention_layernorm"},
    RoleName{Role::kNormAfterFeedForward, "post_feedforward_layernorm"},
};

absl::Status describe(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(read_sizes(json, where, kDefaults, config));
  FRUGAL_ASSIGN_OR_RETURN(const Rope rope, read_rope(json, where, config));
  FRUGAL_ASSIGN_OR_RETURN(const bool bias,
                          base::json_get_or<bool>(json, "attention_bias", false, where));
  for (Layer& layer : config.layers) {
    layer.before_attention.reset();
    layer.before_feed_forward.reset();
    layer.after_attention = layer.after_feed_forward = config.final_norm;
    layer.attention.rope = rope;
    layer.attention.query_key_norm = config.final_norm;
    layer.attention.norm_spans_heads = true;
    layer.attention.input_bias = layer.attention.output_bias = bias;
  }
  return absl::OkStatus();
}

void write(const ModelConfig& config, Json& json) {
  write_sizes(config, kDefaults, json);
  write_rope(config, json);
}

std::span<const RoleName> names() { return kNames; }

}  // namespace

const Family kOlmo2 = {.architecture = "Olmo2ForCausalLM",
                       .model_type = "olmo2",
                       .describe = describe,
                       .write = write,
                       .names = names,
                       .gguf = "olmo2",
                       .graph = {.square_attention = true},
                       .genai = "olmo"};

}  // namespace frugal::architecture
