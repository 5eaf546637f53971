// Tested by: tests/architecture/families_test.cpp
// Gemma 3, text (Gemma Team 2025): one-plus norms, four of them in a layer, norms of heads, a
// scaled embedding, five windowed layers to one that sees everything and turns by another theta.
#include <array>
#include <cmath>

#include "architecture/config_reader.h"
#include "architecture/families/families.h"

namespace frugal::architecture {
namespace {

using base::Json;

// transformers' defaults where the keys are absent (configuration_gemma3.py).
constexpr Defaults kDefaults = {.key_value_heads = 4,
                                .head_size = 256,
                                .tied_embeddings = true,
                                .activation_key = "hidden_activation",
                                .activation = "gelu_pytorch_tanh"};
constexpr int64_t kDefaultWindow = 4096;
constexpr int64_t kDefaultPeriod = 6;  // every sixth layer sees everything
constexpr double kDefaultTheta = 1e6, kDefaultWindowedTheta = 1e4;
constexpr double kDefaultScalar = 256;  // query_pre_attn_scalar

constexpr std::array kNames = {
    RoleName{Role::kNormAfterAttention, "post_attention_layernorm"},
    RoleName{Role::kNormBeforeFeedForward, "pre_feedforward_layernorm"},
    RoleName{Role::kNormAfterFeedForward, "post_feedforward_layernorm"},
};

// "rope_parameters" (transformers >= 5) has an object for each kind of layer; older files have two
// thetas and one scaling.
absl::Status read_ropes(const Json& json, std::string_view where, Rope& full, Rope& windowed) {
  FRUGAL_ASSIGN_OR_RETURN(full.theta, positive_number_or(json, "rope_theta", kDefaultTheta, where));
  FRUGAL_ASSIGN_OR_RETURN(windowed.theta, positive_number_or(json, "rope_local_base_freq",
                                                             kDefaultWindowedTheta, where));
  const auto scaling = json.find("rope_scaling");
  if (scaling != json.end() && !scaling->is_null()) {
    FRUGAL_RETURN_IF_ERROR(
        read_rope_object(*scaling, base::str_cat(where, ": 'rope_scaling'"), full));
  }
  const auto parameters = json.find("rope_parameters");
  if (parameters == json.end() || parameters->is_null()) return absl::OkStatus();
  for (const auto& [key, rope] :
       {std::pair{"full_attention", &full}, std::pair{"sliding_attention", &windowed}}) {
    if (!parameters->is_object() || !parameters->contains(key)) {
      return base::invalid_argument(where, ": 'rope_parameters' has no object '", key, "'");
    }
    FRUGAL_RETURN_IF_ERROR(read_rope_object(
        (*parameters)[key], base::str_cat(where, ": 'rope_parameters': '", key, "'"), *rope));
  }
  return absl::OkStatus();
}

absl::Status read_windows(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(const int64_t window,
                          positive_or(json, "sliding_window", kDefaultWindow, kMaxContext, where));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t period, positive_or(json, "sliding_window_pattern",
                                                            kDefaultPeriod, 1 << 12, where));
  FRUGAL_ASSIGN_OR_RETURN(const auto types, read_layer_types(json, where, config.layers.size()));
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const bool windowed = types ? (*types)[i] : (static_cast<int64_t>(i) + 1) % period != 0;
    if (windowed) config.layers[i].attention.window = window;
  }
  return absl::OkStatus();
}

absl::Status describe(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(read_sizes(json, where, kDefaults, config));
  FRUGAL_RETURN_IF_ERROR(refuse_true(json, where, {"use_bidirectional_attention"}));
  FRUGAL_RETURN_IF_ERROR(
      refuse_present(json, where, {"final_logit_softcapping", "attn_logit_softcapping"}));
  FRUGAL_RETURN_IF_ERROR(read_windows(json, where, config));
  Rope full, windowed;
  FRUGAL_RETURN_IF_ERROR(read_ropes(json, where, full, windowed));
  FRUGAL_ASSIGN_OR_RETURN(const double scalar,
                          positive_number_or(json, "query_pre_attn_scalar", kDefaultScalar, where));
  FRUGAL_ASSIGN_OR_RETURN(const bool bias,
                          base::json_get_or<bool>(json, "attention_bias", false, where));
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden_size));
  config.final_norm.one_plus = true;
  for (Layer& layer : config.layers) {
    layer.before_attention = layer.before_feed_forward = config.final_norm;
    layer.after_attention = layer.after_feed_forward = config.final_norm;
    layer.attention.head_norm = config.final_norm;
    layer.attention.input_bias = layer.attention.output_bias = bias;
    layer.attention.score_scale = 1.0 / std::sqrt(scalar);
    layer.attention.rope = layer.attention.window ? windowed : full;
  }
  return absl::OkStatus();
}

// A model may have lost the layers of one kind; the file's own values stand for those.
void write(const ModelConfig& config, Json& json) {
  write_sizes(config, kDefaults, json);
  json["layer_types"] = layer_types(config);
  json.erase("sliding_window_pattern");  // layer_types says it, also after layers went
  json.erase("_sliding_window_pattern");
  const bool nested = json.contains("rope_parameters") && json["rope_parameters"].is_object();
  for (const Layer& layer : config.layers) {
    const Attention& attention = layer.attention;
    if (attention.window) json["sliding_window"] = *attention.window;
    if (nested) {
      Json& object =
          json["rope_parameters"][attention.window ? "sliding_attention" : "full_attention"];
      object["rope_theta"] = attention.rope.theta;
      write_rope_object(attention.rope, object);
      continue;
    }
    json[attention.window ? "rope_local_base_freq" : "rope_theta"] = attention.rope.theta;
    if (attention.window) continue;
    json["rope_scaling"] = nullptr;
    if (attention.rope.scaling) write_rope_object(attention.rope, json["rope_scaling"]);
  }
}

}  // namespace

const Family kGemma3 = {.architecture = "Gemma3ForCausalLM",
                        .model_type = "gemma3_text",
                        .describe = describe,
                        .write = write,
                        .names = kNames,
                        .gguf = "gemma3",
                        .gguf_windows = true,
                        .genai = "gemma3_text"};

}  // namespace frugal::architecture
