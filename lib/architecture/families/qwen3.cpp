// Tested by: tests/architecture/families_test.cpp
// Qwen3 (Yang et al. 2025): Llama with a norm over each head's query and key.
#include "architecture/config_reader.h"
#include "architecture/families/families.h"
#include "architecture/families/qwen.h"

namespace frugal::architecture {
namespace {

using base::Json;

// transformers' defaults where the keys are absent (configuration_qwen3.py).
constexpr Defaults kDefaults = {.key_value_heads = 32, .head_size = 128};

absl::Status describe(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(read_sizes(json, where, kDefaults, config));
  FRUGAL_ASSIGN_OR_RETURN(const Rope rope, read_rope(json, where, config));
  FRUGAL_ASSIGN_OR_RETURN(const bool bias,
                          base::json_get_or<bool>(json, "attention_bias", false, where));
  for (Layer& layer : config.layers) {
    layer.attention.rope = rope;
    layer.attention.input_bias = layer.attention.output_bias = bias;
    layer.attention.query_key_norm = layer.before_attention;
  }
  return read_qwen_windows(json, where, config);
}

void write(const ModelConfig& config, Json& json) {
  write_sizes(config, kDefaults, json);
  write_rope(config, json);
  write_qwen_windows(config, json);
}

}  // namespace

const Family kQwen3 = {.architecture = "Qwen3ForCausalLM",
                       .model_type = "qwen3",
                       .describe = describe,
                       .write = write,
                       .gguf = "qwen3",
                       .genai = "qwen3"};

}  // namespace frugal::architecture
