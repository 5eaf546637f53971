// Tested by: tests/architecture/families_test.cpp
// OLMoE (Muennighoff et al. 2024): experts in every layer, norms over all query and key channels at
// once.
#include "architecture/config_reader.h"
#include "architecture/families/experts.h"
#include "architecture/families/families.h"

namespace frugal::architecture {
namespace {

using base::Json;

// transformers' defaults where the keys are absent (configuration_olmoe.py).
constexpr Defaults kDefaults;
constexpr double kDefaultRouterLoss = 0.01;
constexpr std::string_view kCount = "num_experts";

absl::Status describe(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(read_sizes(json, where, kDefaults, config));
  FRUGAL_RETURN_IF_ERROR(refuse_present(json, where, {"clip_qkv"}));
  FRUGAL_ASSIGN_OR_RETURN(const Rope rope, read_rope(json, where, config));
  FRUGAL_ASSIGN_OR_RETURN(const bool bias,
                          base::json_get_or<bool>(json, "attention_bias", false, where));
  Experts experts;
  FRUGAL_RETURN_IF_ERROR(read_experts(json, where, kCount, 64, 8, experts));
  FRUGAL_ASSIGN_OR_RETURN(experts.normalized,
                          base::json_get_or<bool>(json, "norm_topk_prob", false, where));
  FRUGAL_RETURN_IF_ERROR(read_router_loss(json, where, kDefaultRouterLoss, config));
  for (Layer& layer : config.layers) {
    layer.attention.rope = rope;
    layer.attention.input_bias = layer.attention.output_bias = bias;
    layer.attention.query_key_norm = config.final_norm;
    layer.attention.norm_spans_heads = true;
    layer.experts = experts;
  }
  return absl::OkStatus();
}

void write(const ModelConfig& config, Json& json) {
  write_sizes(config, kDefaults, json);
  write_rope(config, json);
  write_experts(config, kCount, json);
}

}  // namespace

const Family kOlmoe = {.architecture = "OlmoeForCausalLM",
                       .model_type = "olmoe",
                       .describe = describe,
                       .write = write,
                       .gguf = "olmoe",
                       .graph = {.square_attention = true,
                                 .square_keys = true,
                                 .experts = true,
                                 .all_experts = true,
                                 .normalized_experts = false},
                       .genai = "olmo"};

}  // namespace frugal::architecture
