// Tested by: tests/architecture/families_test.cpp
// Qwen2 and 2.5 (Yang et al. 2024): Llama with biases behind query, key and value.
#include "architecture/config_reader.h"
#include "architecture/families/families.h"
#include "architecture/families/qwen.h"

namespace frugal::architecture {
namespace {

using base::Json;

// transformers' default where the key is absent (configuration_qwen2.py).
constexpr Defaults kDefaults = {.key_value_heads = 32};

absl::Status describe(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(read_sizes(json, where, kDefaults, config));
  FRUGAL_ASSIGN_OR_RETURN(const Rope rope, read_rope(json, where, config));
  for (Layer& layer : config.layers) {
    layer.attention.rope = rope;
    layer.attention.input_bias = true;
  }
  return read_qwen_windows(json, where, config);
}

void write(const ModelConfig& config, Json& json) {
  write_sizes(config, kDefaults, json);
  write_rope(config, json);
  write_qwen_windows(config, json);
}

}  // namespace

const Family kQwen2 = {.architecture = "Qwen2ForCausalLM",
                       .model_type = "qwen2",
                       .describe = describe,
                       .write = write,
                       .gguf = "qwen2",
                       .genai = "qwen2"};

}  // namespace frugal::architecture
