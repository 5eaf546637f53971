// Tested by: tests/architecture/families_test.cpp
// Gemma 2 (Gemma Team 2024): bounded scores and logits, every second layer windowed.
#include "architecture/families/families.h"
#include "architecture/families/gemma.h"

namespace frugal::architecture {
namespace {

using base::Json;

// transformers' defaults where the keys are absent (configuration_gemma2.py).
constexpr double kDefaultLogitCap = 30, kDefaultScoreCap = 50;

absl::Status describe(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(describe_gemma(json, where, kGemmaDefaults, config));
  FRUGAL_RETURN_IF_ERROR(
      read_layer_windows(json, where, kGemmaDefaultWindow, /*period=*/2, config));
  FRUGAL_ASSIGN_OR_RETURN(config.logit_rule.cap,
                          cap_or(json, "final_logit_softcapping", kDefaultLogitCap, where));
  FRUGAL_ASSIGN_OR_RETURN(const std::optional<double> cap,
                          cap_or(json, "attn_logit_softcapping", kDefaultScoreCap, where));
  FRUGAL_ASSIGN_OR_RETURN(const Rope rope, read_rope(json, where, config));
  for (Layer& layer : config.layers) {
    layer.attention.rope = rope;
    layer.attention.score_cap = cap;
  }
  return absl::OkStatus();
}

void write(const ModelConfig& config, Json& json) {
  write_sizes(config, kGemmaDefaults, json);
  write_rope(config, json);
  json["layer_types"] = layer_types(config);
}

}  // namespace

const Family kGemma2 = {.architecture = "Gemma2ForCausalLM",
                        .model_type = "gemma2",
                        .describe = describe,
                        .write = write,
                        .names = gemma_names,
                        .gguf = "gemma2",
                        .graph = {.window_period = 2, .activation = Activation::kGeluTanh},
                        .genai = "gemma2"};

}  // namespace frugal::architecture
