// Tested by: tests/architecture/families_test.cpp
// SmolLM3 (Hugging Face 2025): Llama, every fourth layer without positions (NoPE).
#include "architecture/config_reader.h"
#include "architecture/families/families.h"

namespace frugal::architecture {
namespace {

using base::Json;

// transformers' defaults where the keys are absent (configuration_smollm3.py).
constexpr Defaults kDefaults = {.key_value_heads = 4, .tied_embeddings = true};
constexpr double kDefaultTheta = 2e6;
constexpr int64_t kDefaultInterval = 4;

// "no_rope_layers" has a 1 for a layer that turns, in spite of its name, and a 0 for one that does
// not.
absl::StatusOr<std::vector<bool>> read_turning(const Json& json, std::string_view where,
                                               size_t layers) {
  FRUGAL_ASSIGN_OR_RETURN(const int64_t interval, positive_or(json, "no_rope_layer_interval",
                                                              kDefaultInterval, 1 << 12, where));
  std::vector<bool> turning;
  const auto list = json.find("no_rope_layers");
  if (list == json.end() || list->is_null()) {
    for (size_t i = 0; i < layers; ++i)
      turning.push_back((static_cast<int64_t>(i) + 1) % interval != 0);
    return turning;
  }
  if (!list->is_array() || list->size() < layers) {
    return base::invalid_argument(where, ": 'no_rope_layers' ",
                                  list->is_array() ? base::str_cat("has ", list->size(), " entries")
                                                   : std::string("is no list"),
                                  ", expected one for each of 'num_hidden_layers' ", layers);
  }
  for (size_t i = 0; i < layers; ++i) {
    if ((*list)[i] != 0 && (*list)[i] != 1) {
      return base::invalid_argument(where, ": 'no_rope_layers' holds something else than 0 and 1");
    }
    turning.push_back((*list)[i] == 1);
  }
  return turning;
}

absl::Status describe(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(read_sizes(json, where, kDefaults, config));
  FRUGAL_RETURN_IF_ERROR(refuse_true(json, where, {"use_sliding_window"}));
  FRUGAL_ASSIGN_OR_RETURN(RopeRules rules, rope_rules(json, where, config));
  rules.theta = kDefaultTheta;
  FRUGAL_ASSIGN_OR_RETURN(const Rope rope, read_rope(json, where, rules));
  FRUGAL_ASSIGN_OR_RETURN(const auto turning, read_turning(json, where, config.layers.size()));
  FRUGAL_RETURN_IF_ERROR(read_biases(json, where, config));
  for (size_t i = 0; i < config.layers.size(); ++i) {
    Layer& layer = config.layers[i];
    layer.attention.rope = rope;
    if (!turning[i]) layer.attention.rope.channels = 0;
  }
  return absl::OkStatus();
}

void write(const ModelConfig& config, Json& json) {
  write_sizes(config, kDefaults, json);
  write_rope(config, json);
  Json turning = Json::array();
  for (const Layer& layer : config.layers)
    turning.push_back(layer.attention.rope.channels == 0 ? 0 : 1);
  json["no_rope_layers"] = std::move(turning);
  if (json.contains("layer_types")) json["layer_types"] = layer_types(config);
}

}  // namespace

const Family kSmolLM3 = {.architecture = "SmolLM3ForCausalLM",
                         .model_type = "smollm3",
                         .describe = describe,
                         .write = write,
                         .gguf = "smollm3",
                         .gguf_interleaves = true,
                         .graph = {.rotation_period = 4},
                         .genai = "smollm3"};

}  // namespace frugal::architecture
