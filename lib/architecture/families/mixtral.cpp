// Tested by: tests/architecture/families_test.cpp
// Mixtral (Jiang et al. 2024): Mistral with two of eight feed-forwards for each token.
#include <array>

#include "architecture/config_reader.h"
#include "architecture/families/experts.h"
#include "architecture/families/families.h"

namespace frugal::architecture {
namespace {

using base::Json;

// transformers' defaults where the keys are absent (configuration_mixtral.py).
constexpr Defaults kDefaults = {.key_value_heads = 8};
constexpr double kDefaultTheta = 1e6, kDefaultRouterLoss = 0.001;
constexpr std::string_view kCount = "num_local_experts";

constexpr std::array kNames = {RoleName{Role::kRouter, "block_sparse_moe.gate"}};
std::span<const RoleName> names() { return kNames; }

absl::Status describe(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(read_sizes(json, where, kDefaults, config));
  FRUGAL_RETURN_IF_ERROR(refuse_true(json, where, {"attention_bias", "mlp_bias"}));
  FRUGAL_ASSIGN_OR_RETURN(RopeRules rules, rope_rules(json, where, config));
  rules.theta = kDefaultTheta;
  FRUGAL_ASSIGN_OR_RETURN(const Rope rope, read_rope(json, where, rules));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t window,
                          positive_or(json, "sliding_window", kMaxContext, kMaxContext, where));
  Experts experts;
  FRUGAL_RETURN_IF_ERROR(read_experts(json, where, kCount, 8, 2, experts));
  FRUGAL_RETURN_IF_ERROR(read_router_loss(json, where, kDefaultRouterLoss, config));
  for (Layer& layer : config.layers) {
    layer.attention.rope = rope;
    if (window < config.context_length) layer.attention.window = window;
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

const Family kMixtral = {
    .architecture = "MixtralForCausalLM",
    .model_type = "mixtral",
    .describe = describe,
    .write = write,
    .names = names,
    .experts = {.stem = "block_sparse_moe.experts", .gate = "w1", .up = "w3", .down = "w2"},
    .gguf = "llama",
    .gguf_interleaves = true,
    .graph = {.experts = true, .all_experts = true},
    .genai = "mistral"};

}  // namespace frugal::architecture
