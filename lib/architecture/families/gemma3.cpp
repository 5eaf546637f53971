// Tested by: tests/architecture/families_test.cpp
// Gemma 3, text (Gemma Team 2025): norms of heads, five windowed layers to one that sees everything
// and turns by another theta.
#include <utility>

#include "architecture/families/families.h"
#include "architecture/families/gemma.h"

namespace frugal::architecture {
namespace {

using base::Json;

// transformers' defaults where the keys are absent (configuration_gemma3.py).
constexpr int64_t kDefaultPeriod = 6;  // every sixth layer sees everything
constexpr double kDefaultTheta = 1e6, kDefaultWindowedTheta = 1e4;
// "rope_parameters" (transformers >= 5) has an object for each kind of layer; older files have two
// thetas and one scaling.
absl::Status read_ropes(const Json& json, std::string_view where, const ModelConfig& config,
                        Rope& full, Rope& windowed) {
  FRUGAL_ASSIGN_OR_RETURN(const RopeRules rules, rope_rules(json, where, config));
  FRUGAL_ASSIGN_OR_RETURN(full.theta, positive_number_or(json, "rope_theta", kDefaultTheta, where));
  FRUGAL_ASSIGN_OR_RETURN(windowed.theta, positive_number_or(json, "rope_local_base_freq",
                                                             kDefaultWindowedTheta, where));
  const auto scaling = json.find("rope_scaling");
  if (scaling != json.end() && !scaling->is_null()) {
    FRUGAL_RETURN_IF_ERROR(
        read_rope_object(*scaling, base::str_cat(where, ": 'rope_scaling'"), rules, full));
  }
  const auto parameters = json.find("rope_parameters");
  if (parameters == json.end() || parameters->is_null()) return absl::OkStatus();
  for (const auto& [key, rope] :
       {std::pair{"full_attention", &full}, std::pair{"sliding_attention", &windowed}}) {
    if (!parameters->is_object() || !parameters->contains(key)) {
      return base::invalid_argument(where, ": 'rope_parameters' has no object '", key, "'");
    }
    FRUGAL_RETURN_IF_ERROR(
        read_rope_object((*parameters)[key],
                         base::str_cat(where, ": 'rope_parameters': '", key, "'"), rules, *rope));
  }
  return absl::OkStatus();
}

absl::Status describe(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_RETURN_IF_ERROR(describe_gemma(json, where, kGemmaDefaults, config));
  FRUGAL_RETURN_IF_ERROR(
      refuse_present(json, where, {"final_logit_softcapping", "attn_logit_softcapping"}));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t period, positive_or(json, "sliding_window_pattern",
                                                            kDefaultPeriod, 1 << 12, where));
  FRUGAL_RETURN_IF_ERROR(read_layer_windows(json, where, kGemmaDefaultWindow, period, config));
  Rope full, windowed;
  FRUGAL_RETURN_IF_ERROR(read_ropes(json, where, config, full, windowed));
  for (Layer& layer : config.layers) {
    layer.attention.query_key_norm = config.final_norm;
    layer.attention.rope = layer.attention.window ? windowed : full;
  }
  return absl::OkStatus();
}

// A model may have lost the layers of one kind; the file's own values stand for those.
void write(const ModelConfig& config, Json& json) {
  write_sizes(config, kGemmaDefaults, json);
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

const Family kGemma3 = {
    .architecture = "Gemma3ForCausalLM",
    .model_type = "gemma3_text",
    .describe = describe,
    .write = write,
    .names = gemma_names,
    .gguf = "gemma3",
    .graph = {.window_period = 6, .window_pattern = true, .activation = Activation::kGeluTanh},
    .genai = "gemma3_text"};

}  // namespace frugal::architecture
