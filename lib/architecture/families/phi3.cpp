// Tested by: tests/architecture/families_test.cpp
// Phi-3, Phi-3.5 and Phi-4-mini (Abdin et al. 2024): Llama whose query, key and value are stored as
// one matrix, and gate and up as another; a window over all layers, long contexts by "longrope".
#include <array>

#include "architecture/config_reader.h"
#include "architecture/families/families.h"

namespace frugal::architecture {
namespace {

using base::Json;

constexpr Defaults kDefaults;
constexpr int64_t kDefaultOriginalContext = 4096;  // configuration_phi3.py
constexpr std::array kAttentionIn = {Role::kQuery, Role::kKey, Role::kValue};
constexpr std::array kFeedForwardIn = {Role::kGate, Role::kUp};
constexpr std::array kFusions = {
    Fusion{.stem = "self_attn.qkv_proj", .roles = kAttentionIn, .gguf = "attn_qkv"},
    Fusion{.stem = "mlp.gate_up_proj", .roles = kFeedForwardIn, .gguf = "ffn_up"},
};

absl::Status describe(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(read_sizes(json, where, kDefaults, config));
  FRUGAL_RETURN_IF_ERROR(refuse_true(json, where, {"attention_bias", "mlp_bias", "lm_head_bias"}));
  FRUGAL_ASSIGN_OR_RETURN(RopeRules rules, rope_rules(json, where, config));
  rules.partial = true;  // Phi-4-mini
  if (!rules.original_context) rules.original_context = kDefaultOriginalContext;
  FRUGAL_ASSIGN_OR_RETURN(const Rope rope, read_rope(json, where, rules));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t window,
                          positive_or(json, "sliding_window", kMaxContext, kMaxContext, where));
  for (Layer& layer : config.layers) {
    layer.attention.rope = rope;
    if (window < config.context_length) layer.attention.window = window;
  }
  return absl::OkStatus();
}

void write(const ModelConfig& config, Json& json) {
  write_sizes(config, kDefaults, json);
  write_rope(config, json);
}

}  // namespace

const Family kPhi3 = {.architecture = "Phi3ForCausalLM",
                      .model_type = "phi3",
                      .describe = describe,
                      .write = write,
                      .fusions = kFusions,
                      .gguf = "phi3",
                      .graph = {.square_attention = true, .long_factors = true},
                      .genai = "phi3"};

}  // namespace frugal::architecture
