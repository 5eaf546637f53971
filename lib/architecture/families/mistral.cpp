// Tested by: tests/architecture/families_test.cpp
// Mistral (Jiang et al. 2023): Llama with a window over all layers.
#include "architecture/config_reader.h"
#include "architecture/families/families.h"

namespace frugal::architecture {
namespace {

using base::Json;

// transformers' defaults where the keys are absent (configuration_mistral.py).
constexpr int64_t kDefaultWindow = 4096;
constexpr Defaults kDefaults = {.key_value_heads = 8};

absl::Status describe(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(read_sizes(json, where, kDefaults, config));
  FRUGAL_RETURN_IF_ERROR(
      refuse_true(json, where, {"attention_bias", "mlp_bias", "rope_interleaved"}));
  FRUGAL_ASSIGN_OR_RETURN(const Rope rope, read_rope(json, where, config));
  std::optional<int64_t> window;  // an explicit null says "none", an absent key means the default
  const auto found = json.find("sliding_window");
  if (found == json.end() || !found->is_null()) {
    FRUGAL_ASSIGN_OR_RETURN(
        window, positive_or(json, "sliding_window", kDefaultWindow, kMaxContext, where));
  }
  if (window && *window >= config.context_length) window.reset();
  for (Layer& layer : config.layers) {
    layer.attention.rope = rope;
    layer.attention.window = window;
  }
  return absl::OkStatus();
}

void write(const ModelConfig& config, Json& json) {
  write_sizes(config, kDefaults, json);
  write_rope(config, json);
}

}  // namespace

const Family kMistral = {.architecture = "MistralForCausalLM",
                         .model_type = "mistral",
                         .describe = describe,
                         .write = write,
                         .gguf = "llama",
                         .gguf_interleaves = true};

}  // namespace frugal::architecture
