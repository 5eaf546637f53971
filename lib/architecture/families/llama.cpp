// Tested by: tests/architecture/families_test.cpp
// Llama 1 to 3.2 (Touvron et al. 2023): pre-norm layers, SwiGLU, grouped-query attention; biases
// where the config says so.
#include "architecture/config_reader.h"
#include "architecture/families/families.h"

namespace frugal::architecture {
namespace {

using base::Json;

constexpr Defaults kDefaults;

// transformers' Llama has no window: a key that says otherwise would be ignored there and obeyed
// elsewhere.
absl::Status refuse_window(const Json& json, std::string_view where, const ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(const int64_t window,
                          positive_or(json, "sliding_window", kMaxContext, kMaxContext, where));
  if (window >= config.context_length) return absl::OkStatus();
  return base::unimplemented(
      where, ": 'sliding_window' is ", window, ", below 'max_position_embeddings' ",
      config.context_length,
      ", but a Llama attends to everything: remove the key, or name MistralForCausalLM (model_type "
      "mistral) in 'architectures' if the model was trained with that window");
}

absl::Status describe(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(read_sizes(json, where, kDefaults, config));
  FRUGAL_RETURN_IF_ERROR(refuse_true(json, where, {"rope_interleaved"}));
  FRUGAL_RETURN_IF_ERROR(refuse_window(json, where, config));
  FRUGAL_ASSIGN_OR_RETURN(const Rope rope, read_rope(json, where, config));
  FRUGAL_RETURN_IF_ERROR(read_biases(json, where, config));
  for (Layer& layer : config.layers) {
    layer.attention.rope = rope;
  }
  return absl::OkStatus();
}

void write(const ModelConfig& config, Json& json) {
  write_sizes(config, kDefaults, json);
  write_rope(config, json);
}

}  // namespace

const Family kLlama = {.architecture = "LlamaForCausalLM",
                       .model_type = "llama",
                       .describe = describe,
                       .write = write,
                       .gguf = "llama",
                       .gguf_interleaves = true};

}  // namespace frugal::architecture
