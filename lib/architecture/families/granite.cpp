// Tested by: tests/architecture/families_test.cpp
// Granite 3 (IBM 2024): Llama with multipliers of embedding, scores, residual additions and logits.
#include "architecture/config_reader.h"
#include "architecture/families/families.h"

namespace frugal::architecture {
namespace {

using base::Json;

constexpr Defaults kDefaults;

absl::Status describe(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(read_sizes(json, where, kDefaults, config));
  FRUGAL_ASSIGN_OR_RETURN(const Rope rope, read_rope(json, where, config));
  FRUGAL_RETURN_IF_ERROR(read_biases(json, where, config));
  FRUGAL_ASSIGN_OR_RETURN(config.embedding_scale,
                          positive_number_or(json, "embedding_multiplier", 1.0, where));
  FRUGAL_ASSIGN_OR_RETURN(const double divisor,
                          positive_number_or(json, "logits_scaling", 1.0, where));
  config.logit_rule.scale = 1.0 / divisor;
  FRUGAL_ASSIGN_OR_RETURN(const double score,
                          positive_number_or(json, "attention_multiplier", 1.0, where));
  FRUGAL_ASSIGN_OR_RETURN(const double residual,
                          positive_number_or(json, "residual_multiplier", 1.0, where));
  for (Layer& layer : config.layers) {
    layer.attention.rope = rope;
    layer.attention.score_scale = score;
    layer.residual_multiplier = residual;
  }
  return absl::OkStatus();
}

void write(const ModelConfig& config, Json& json) {
  write_sizes(config, kDefaults, json);
  write_rope(config, json);
  json["embedding_multiplier"] = config.embedding_scale;
}

}  // namespace

const Family kGranite = {.architecture = "GraniteForCausalLM",
                         .model_type = "granite",
                         .describe = describe,
                         .write = write,
                         .gguf = "granite",
                         .gguf_interleaves = true,
                         .graph = {.multipliers = true},
                         .genai = "granite"};

}  // namespace frugal::architecture
