// Tested by: tests/architecture/families_test.cpp
// Qwen3-MoE (Yang et al. 2025): Qwen3 with experts in all layers, or in those that the config
// names.
#include <algorithm>
#include <vector>

#include "architecture/config_reader.h"
#include "architecture/families/experts.h"
#include "architecture/families/families.h"
#include "architecture/families/qwen.h"

namespace frugal::architecture {
namespace {

using base::Json;

// transformers' defaults where the keys are absent (configuration_qwen3_moe.py).
constexpr Defaults kDefaults = {.key_value_heads = 4};
constexpr double kDefaultRouterLoss = 0.001;
constexpr std::string_view kCount = "num_experts";

// Every "decoder_sparse_step"-th layer, but for those in "mlp_only_layers".
absl::StatusOr<std::vector<bool>> read_sparse_layers(const Json& json, std::string_view where,
                                                     size_t layers) {
  FRUGAL_ASSIGN_OR_RETURN(const int64_t step,
                          positive_or(json, "decoder_sparse_step", 1, 1 << 12, where));
  std::vector<bool> sparse;
  for (size_t i = 0; i < layers; ++i) sparse.push_back((static_cast<int64_t>(i) + 1) % step == 0);
  const auto list = json.find("mlp_only_layers");
  if (list == json.end() || list->is_null()) return sparse;
  if (!list->is_array()) {
    return base::invalid_argument(where, ": 'mlp_only_layers' is no list of layers");
  }
  for (const Json& entry : *list) {
    if (!entry.is_number_integer() || entry < 0 || entry >= layers) {
      return base::invalid_argument(where, ": 'mlp_only_layers' holds something else than layers ",
                                    "below 'num_hidden_layers' ", layers);
    }
    sparse[entry.get<size_t>()] = false;
  }
  return sparse;
}

absl::Status describe(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(read_sizes(json, where, kDefaults, config));
  FRUGAL_ASSIGN_OR_RETURN(const Rope rope, read_rope(json, where, config));
  FRUGAL_ASSIGN_OR_RETURN(const bool bias,
                          base::json_get_or<bool>(json, "attention_bias", false, where));
  Experts experts;
  FRUGAL_RETURN_IF_ERROR(read_experts(json, where, kCount, 128, 8, experts));
  FRUGAL_ASSIGN_OR_RETURN(experts.normalized,
                          base::json_get_or<bool>(json, "norm_topk_prob", false, where));
  FRUGAL_RETURN_IF_ERROR(read_router_loss(json, where, kDefaultRouterLoss, config));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t width,
                          positive_or(json, "moe_intermediate_size", 768, 1 << 20, where));
  FRUGAL_ASSIGN_OR_RETURN(const auto sparse, read_sparse_layers(json, where, config.layers.size()));
  for (size_t i = 0; i < config.layers.size(); ++i) {
    Layer& layer = config.layers[i];
    layer.attention.rope = rope;
    layer.attention.input_bias = layer.attention.output_bias = bias;
    layer.attention.query_key_norm = layer.before_attention;
    if (!sparse[i]) continue;
    layer.experts = experts;
    layer.feed_forward.width = width;
  }
  return read_qwen_windows(json, where, config);
}

void write(const ModelConfig& config, Json& json) {
  write_sizes(config, kDefaults, json);
  write_rope(config, json);
  write_qwen_windows(config, json);
  write_experts(config, kCount, json);
  Json dense = Json::array();
  for (int64_t i = 0; i < config.layer_count(); ++i) {
    const Layer& layer = config.layers[static_cast<size_t>(i)];
    json[layer.experts ? "moe_intermediate_size" : "intermediate_size"] = layer.feed_forward.width;
    if (!layer.experts) dense.push_back(i);
  }
  json["decoder_sparse_step"] = 1;  // the list says it all, also after layers went
  json["mlp_only_layers"] = std::move(dense);
}

}  // namespace

const Family kQwen3Moe = {.architecture = "Qwen3MoeForCausalLM",
                          .model_type = "qwen3_moe",
                          .describe = describe,
                          .write = write,
                          .gguf = "qwen3moe",
                          .graph = {.experts = true, .all_experts = true},
                          .genai = "qwen3"};

}  // namespace frugal::architecture
