#include "architecture/config_reader.h"

#include <array>
#include <cmath>
#include <utility>

namespace frugal::architecture {
namespace {

using base::Json;

struct ActivationName {
  std::string_view name;
  Activation activation;
};
// The names of transformers' ACT2FN; the first of an activation is the one that is written.
constexpr std::array kActivations = {
    ActivationName{"silu", Activation::kSilu},
    ActivationName{"swish", Activation::kSilu},
    ActivationName{"gelu", Activation::kGelu},
    ActivationName{"gelu_pytorch_tanh", Activation::kGeluTanh},
    ActivationName{"gelu_new", Activation::kGeluTanh},
    ActivationName{"relu", Activation::kRelu},
};

std::string shown(const Json& value) {
  return value.is_primitive()
             ? value.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 40)
             : "a list or object";
}

bool absent(const Json& json, std::string_view key) {
  const auto found = json.find(std::string(key));
  return found == json.end() || found->is_null();
}

absl::Status read_heads(const Json& json, std::string_view where, const Defaults& defaults,
                        int64_t width, Attention& attention) {
  FRUGAL_ASSIGN_OR_RETURN(attention.heads, positive(json, "num_attention_heads", kMaxWidth, where));
  FRUGAL_ASSIGN_OR_RETURN(
      attention.key_value_heads,
      positive_or(json, "num_key_value_heads", defaults.key_value_heads.value_or(attention.heads),
                  kMaxWidth, where));
  if (attention.heads % attention.key_value_heads != 0) {
    return base::invalid_argument(where, ": 'num_key_value_heads' is ", attention.key_value_heads,
                                  ", expected a divisor of 'num_attention_heads' ",
                                  attention.heads);
  }
  FRUGAL_ASSIGN_OR_RETURN(
      attention.head_size,
      positive_or(json, "head_dim", defaults.head_size.value_or(0), kMaxWidth, where));
  if (attention.head_size == 0) {
    if (width % attention.heads != 0) {
      return base::invalid_argument(where, ": 'head_dim' is absent and 'hidden_size' ", width,
                                    " is no multiple of 'num_attention_heads' ", attention.heads);
    }
    attention.head_size = width / attention.heads;
  }
  if (attention.head_size % 2 != 0) {
    return base::invalid_argument(where, ": the head size is ", attention.head_size,
                                  ", expected an even number (rotary pairs)");
  }
  if (attention.heads > kMaxWidth / attention.head_size) {
    return base::invalid_argument(where, ": ", attention.heads, " heads of ", attention.head_size,
                                  " are wider than ", kMaxWidth);
  }
  attention.score_scale = 1.0 / std::sqrt(static_cast<double>(attention.head_size));
  return absl::OkStatus();
}

// "original_max_position_embeddings": beside the object (Phi-3), in it, or the context itself.
absl::StatusOr<int64_t> original_context(const Json& rope, std::string_view where,
                                         const RopeRules& rules) {
  if (rules.original_context) return *rules.original_context;
  return positive_or(rope, "original_max_position_embeddings", rules.context_length, kMaxContext,
                     where);
}

absl::StatusOr<RopeScaling> read_llama3_scaling(const Json& rope, std::string_view where) {
  RopeScaling scaling;
  FRUGAL_ASSIGN_OR_RETURN(scaling.factor, positive_number(rope, "factor", where));
  FRUGAL_ASSIGN_OR_RETURN(scaling.low_freq_factor, positive_number(rope, "low_freq_factor", where));
  FRUGAL_ASSIGN_OR_RETURN(scaling.high_freq_factor,
                          positive_number(rope, "high_freq_factor", where));
  FRUGAL_ASSIGN_OR_RETURN(scaling.original_max_position_embeddings,
                          positive(rope, "original_max_position_embeddings", kMaxContext, where));
  if (scaling.low_freq_factor >= scaling.high_freq_factor) {
    return base::invalid_argument(where, ": 'low_freq_factor' ", scaling.low_freq_factor,
                                  " must be below 'high_freq_factor' ", scaling.high_freq_factor);
  }
  return scaling;
}

absl::StatusOr<RopeScaling> read_yarn_scaling(const Json& rope, std::string_view where,
                                              const RopeRules& rules) {
  RopeScaling scaling{.kind = RopeScaling::Kind::kYarn};
  FRUGAL_ASSIGN_OR_RETURN(scaling.original_max_position_embeddings,
                          original_context(rope, where, rules));
  FRUGAL_ASSIGN_OR_RETURN(
      scaling.factor,
      positive_number_or(rope, "factor",
                         static_cast<double>(rules.context_length) /
                             static_cast<double>(scaling.original_max_position_embeddings),
                         where));
  FRUGAL_ASSIGN_OR_RETURN(scaling.beta_fast, positive_number_or(rope, "beta_fast", 32, where));
  FRUGAL_ASSIGN_OR_RETURN(scaling.beta_slow, positive_number_or(rope, "beta_slow", 1, where));
  if (scaling.beta_slow >= scaling.beta_fast) {
    return base::invalid_argument(where, ": 'beta_slow' ", scaling.beta_slow,
                                  " must be below 'beta_fast' ", scaling.beta_fast);
  }
  FRUGAL_ASSIGN_OR_RETURN(scaling.truncate, base::json_get_or<bool>(rope, "truncate", true, where));
  // Peng et al. 2024, section 3.4; DeepSeek's files have a numerator and a denominator of it.
  const auto scaled = [&](double by) {
    return scaling.factor <= 1.0 ? 1.0 : 0.1 * by * std::log(scaling.factor) + 1.0;
  };
  FRUGAL_ASSIGN_OR_RETURN(const double above, base::json_get_or<double>(rope, "mscale", 0, where));
  FRUGAL_ASSIGN_OR_RETURN(const double below,
                          base::json_get_or<double>(rope, "mscale_all_dim", 0, where));
  const double usual = above != 0 && below != 0 ? scaled(above) / scaled(below) : scaled(1.0);
  FRUGAL_ASSIGN_OR_RETURN(scaling.attention_factor,
                          positive_number_or(rope, "attention_factor", usual, where));
  return scaling;
}

absl::StatusOr<std::vector<double>> read_factors(const Json& rope, std::string_view key,
                                                 size_t count, std::string_view where) {
  const auto list = rope.find(std::string(key));
  if (list == rope.end() || !list->is_array() || list->size() != count) {
    return base::invalid_argument(
        where, ": '", key, "' ",
        list == rope.end() ? std::string("is missing")
        : list->is_array() ? base::str_cat("has ", list->size(), " numbers")
                           : std::string("is no list"),
        ", expected ", count, " numbers, one for each pair of channels that turns");
  }
  std::vector<double> factors;
  for (const Json& value : *list) {
    const double factor = value.is_number() ? value.get<double>() : 0;
    if (!(std::isfinite(factor) && factor > 0)) {
      return base::invalid_argument(where, ": '", key, "' holds ", shown(value),
                                    ", expected positive numbers");
    }
    factors.push_back(factor);
  }
  return factors;
}

absl::StatusOr<RopeScaling> read_longrope_scaling(const Json& rope, std::string_view where,
                                                  const RopeRules& rules, int64_t channels) {
  RopeScaling scaling{.kind = RopeScaling::Kind::kLongRope, .factor = 1.0};
  const auto pairs = static_cast<size_t>(channels / 2);
  FRUGAL_ASSIGN_OR_RETURN(scaling.short_factors, read_factors(rope, "short_factor", pairs, where));
  FRUGAL_ASSIGN_OR_RETURN(scaling.long_factors, read_factors(rope, "long_factor", pairs, where));
  FRUGAL_ASSIGN_OR_RETURN(scaling.original_max_position_embeddings,
                          original_context(rope, where, rules));
  const double original = static_cast<double>(scaling.original_max_position_embeddings);
  FRUGAL_ASSIGN_OR_RETURN(
      const double factor,
      positive_number_or(rope, "factor", static_cast<double>(rules.context_length) / original,
                         where));
  const double usual = factor <= 1.0 ? 1.0 : std::sqrt(1.0 + std::log(factor) / std::log(original));
  FRUGAL_ASSIGN_OR_RETURN(scaling.attention_factor,
                          positive_number_or(rope, "attention_factor", usual, where));
  return scaling;
}

// The share of a head's channels that turns, under "partial_rotary_factor".
absl::Status read_partial_rotation(const Json& json, std::string_view where, const RopeRules& rules,
                                   Rope& rope) {
  if (absent(json, "partial_rotary_factor")) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(const double share,
                          base::json_get<double>(json, "partial_rotary_factor", where));
  if (share == 1.0) return absl::OkStatus();
  if (!rules.partial) {
    return base::unimplemented(where, ": 'partial_rotary_factor' is ", share,
                               "; heads of this family turn as a whole: expected 1");
  }
  const auto channels = static_cast<int64_t>(static_cast<double>(rules.head_size) * share);
  if (!(share > 0 && share < 1) || channels < 2 || channels % 2 != 0) {
    return base::invalid_argument(where, ": 'partial_rotary_factor' is ", share, ", of heads of ",
                                  rules.head_size,
                                  " channels; expected an even number of channels that turn");
  }
  rope.channels = channels;
  return absl::OkStatus();
}

Json ids_to_json(const std::vector<int64_t>& ids) {
  if (ids.empty()) return nullptr;
  return ids.size() == 1 ? Json(ids.front()) : Json(ids);
}

}  // namespace

std::string_view name(Activation activation) {
  for (const ActivationName& entry : kActivations) {
    if (entry.activation == activation) return entry.name;
  }
  return "";
}

absl::StatusOr<int64_t> positive(const Json& json, std::string_view key, int64_t limit,
                                 std::string_view where) {
  FRUGAL_ASSIGN_OR_RETURN(const int64_t value, base::json_get<int64_t>(json, key, where));
  if (value >= 1 && value <= limit) return value;
  return base::invalid_argument(where, ": '", key, "' is ", value, ", expected 1 to ", limit);
}

absl::StatusOr<int64_t> positive_or(const Json& json, std::string_view key, int64_t fallback,
                                    int64_t limit, std::string_view where) {
  if (absent(json, key)) return fallback;
  return positive(json, key, limit, where);
}

absl::StatusOr<double> positive_number(const Json& json, std::string_view key,
                                       std::string_view where) {
  FRUGAL_ASSIGN_OR_RETURN(const double value, base::json_get<double>(json, key, where));
  if (std::isfinite(value) && value > 0) return value;
  return base::invalid_argument(where, ": '", key, "' is ", value, ", expected a positive number");
}

absl::StatusOr<double> positive_number_or(const Json& json, std::string_view key, double fallback,
                                          std::string_view where) {
  if (absent(json, key)) return fallback;
  return positive_number(json, key, where);
}

absl::StatusOr<std::vector<int64_t>> token_ids(const Json& json, std::string_view key,
                                               int64_t vocabulary_size, std::string_view where) {
  std::vector<int64_t> ids;
  const auto found = json.find(std::string(key));
  if (found == json.end() || found->is_null()) return ids;
  const Json list = found->is_array() ? *found : Json::array({*found});
  for (const Json& element : list) {
    if (element.is_number_integer() && element == -1) continue;
    // Numbers of a file are unsigned, numbers set by a program may be signed.
    const bool in_range = element.is_number_integer() && element >= 0 && element < vocabulary_size;
    if (!in_range) {
      return base::invalid_argument(where, ": '", key, "' holds ", shown(element),
                                    ", expected ids below 'vocab_size' ", vocabulary_size,
                                    " or null");
    }
    ids.push_back(element.get<int64_t>());
  }
  return ids;
}

absl::StatusOr<Activation> read_activation(const Json& json, std::string_view where,
                                           const Defaults& defaults) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string wanted,
                          base::json_get_or<std::string>(json, defaults.activation_key,
                                                         std::string(defaults.activation), where));
  std::vector<std::string> known;
  for (const ActivationName& entry : kActivations) {
    if (entry.name == wanted) return entry.activation;
    known.emplace_back(entry.name);
  }
  return base::unimplemented(where, ": '", defaults.activation_key, "' is '", wanted.substr(0, 40),
                             "'; frugal has ", base::join(known, ", "));
}

absl::Status read_token_ids(const Json& json, std::string_view where, ModelConfig& config) {
  const int64_t size = config.vocabulary_size;
  FRUGAL_ASSIGN_OR_RETURN(config.bos_token_ids, token_ids(json, "bos_token_id", size, where));
  FRUGAL_ASSIGN_OR_RETURN(config.eos_token_ids, token_ids(json, "eos_token_id", size, where));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<int64_t> pad,
                          token_ids(json, "pad_token_id", size, where));
  if (!pad.empty()) config.pad_token_id = pad.front();
  return absl::OkStatus();
}

absl::Status read_sizes(const Json& json, std::string_view where, const Defaults& defaults,
                        ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(config.vocabulary_size,
                          positive(json, "vocab_size", kMaxVocabulary, where));
  FRUGAL_ASSIGN_OR_RETURN(config.hidden_size, positive(json, "hidden_size", kMaxWidth, where));
  FRUGAL_ASSIGN_OR_RETURN(config.context_length,
                          positive(json, "max_position_embeddings", kMaxContext, where));
  Layer layer;
  FRUGAL_ASSIGN_OR_RETURN(layer.feed_forward.width,
                          positive(json, "intermediate_size", kMaxWidth, where));
  FRUGAL_ASSIGN_OR_RETURN(layer.feed_forward.activation, read_activation(json, where, defaults));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t layer_count,
                          positive(json, "num_hidden_layers", kMaxLayers, where));
  FRUGAL_RETURN_IF_ERROR(read_heads(json, where, defaults, config.hidden_size, layer.attention));
  FRUGAL_ASSIGN_OR_RETURN(config.final_norm.epsilon, positive_number(json, "rms_norm_eps", where));
  layer.before_attention = layer.before_feed_forward = config.final_norm;
  config.layers.assign(static_cast<size_t>(layer_count), layer);
  FRUGAL_ASSIGN_OR_RETURN(
      config.tied_embeddings,
      base::json_get_or<bool>(json, "tie_word_embeddings", defaults.tied_embeddings, where));
  FRUGAL_ASSIGN_OR_RETURN(
      config.initializer_range,
      positive_number_or(json, "initializer_range", config.initializer_range, where));
  return read_token_ids(json, where, config);
}

absl::Status read_rope_object(const Json& object, std::string_view where, const RopeRules& rules,
                              Rope& rope) {
  if (!object.is_object()) return base::invalid_argument(where, " is no object");
  FRUGAL_ASSIGN_OR_RETURN(rope.theta, positive_number_or(object, "rope_theta", rope.theta, where));
  FRUGAL_RETURN_IF_ERROR(read_partial_rotation(object, where, rules, rope));
  const std::string_view type_key = object.contains("rope_type") ? "rope_type" : "type";
  FRUGAL_ASSIGN_OR_RETURN(const std::string type,
                          base::json_get_or<std::string>(object, type_key, "default", where));
  rope.scaling.reset();
  if (type == "default") return absl::OkStatus();
  if (type == "linear") {
    rope.scaling = RopeScaling{.kind = RopeScaling::Kind::kLinear};
    FRUGAL_ASSIGN_OR_RETURN(rope.scaling->factor, positive_number(object, "factor", where));
    return absl::OkStatus();
  }
  if (type == "llama3") {
    FRUGAL_ASSIGN_OR_RETURN(rope.scaling, read_llama3_scaling(object, where));
    return absl::OkStatus();
  }
  // Files of the first Phi-3 call it "su", or "yarn" with factors of its own.
  if (type == "longrope" || type == "su" || (type == "yarn" && object.contains("short_factor"))) {
    FRUGAL_ASSIGN_OR_RETURN(
        rope.scaling, read_longrope_scaling(object, where, rules, rope.turned(rules.head_size)));
    return absl::OkStatus();
  }
  if (type == "yarn") {
    FRUGAL_ASSIGN_OR_RETURN(rope.scaling, read_yarn_scaling(object, where, rules));
    return absl::OkStatus();
  }
  return base::unimplemented(
      where, ": '", type_key, "' is '", type.substr(0, 40),
      "'; frugal supports 'default', 'linear', 'llama3', 'yarn' and 'longrope'");
}

absl::StatusOr<RopeRules> rope_rules(const Json& json, std::string_view where,
                                     const ModelConfig& config) {
  RopeRules rules{.head_size = config.layers.front().attention.head_size,
                  .context_length = config.context_length};
  if (absent(json, "original_max_position_embeddings")) return rules;
  FRUGAL_ASSIGN_OR_RETURN(rules.original_context,
                          positive(json, "original_max_position_embeddings", kMaxContext, where));
  return rules;
}

absl::StatusOr<Rope> read_rope(const Json& json, std::string_view where, const RopeRules& rules) {
  Rope rope{.theta = rules.theta, .channels = {}, .scaling = {}};
  FRUGAL_ASSIGN_OR_RETURN(rope.theta, positive_number_or(json, "rope_theta", rope.theta, where));
  FRUGAL_RETURN_IF_ERROR(read_partial_rotation(json, where, rules, rope));
  for (const std::string_view key : {"rope_scaling", "rope_parameters"}) {  // the newer place wins
    if (absent(json, key)) continue;
    FRUGAL_RETURN_IF_ERROR(read_rope_object(json[std::string(key)],
                                            base::str_cat(where, ": '", key, "'"), rules, rope));
  }
  return rope;
}

absl::StatusOr<Rope> read_rope(const Json& json, std::string_view where,
                               const ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(const RopeRules rules, rope_rules(json, where, config));
  return read_rope(json, where, rules);
}

absl::Status read_layer_windows(const Json& json, std::string_view where, int64_t otherwise,
                                int64_t period, ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(const int64_t window,
                          positive_or(json, "sliding_window", otherwise, kMaxContext, where));
  FRUGAL_ASSIGN_OR_RETURN(const auto types, read_layer_types(json, where, config.layers.size()));
  for (size_t i = 0; i < config.layers.size(); ++i) {
    if (types ? (*types)[i] : (static_cast<int64_t>(i) + 1) % period != 0)
      config.layers[i].attention.window = window;
  }
  return absl::OkStatus();
}

absl::Status read_biases(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(const bool attention,
                          base::json_get_or<bool>(json, "attention_bias", false, where));
  FRUGAL_ASSIGN_OR_RETURN(const bool feed_forward,
                          base::json_get_or<bool>(json, "mlp_bias", false, where));
  for (Layer& layer : config.layers) {
    layer.attention.input_bias = layer.attention.output_bias = attention;
    layer.feed_forward.bias = feed_forward;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<double>> cap_or(const Json& json, std::string_view key,
                                             double otherwise, std::string_view where) {
  const auto found = json.find(std::string(key));
  if (found == json.end()) return otherwise;
  if (found->is_null()) return std::nullopt;
  FRUGAL_ASSIGN_OR_RETURN(const double cap, positive_number(json, key, where));
  return cap;
}

absl::StatusOr<std::optional<std::vector<bool>>> read_layer_types(const Json& json,
                                                                  std::string_view where,
                                                                  size_t layer_count) {
  if (absent(json, "layer_types")) return std::nullopt;
  const Json& list = json["layer_types"];
  if (!list.is_array() || list.size() != layer_count) {
    return base::invalid_argument(where, ": 'layer_types' ",
                                  list.is_array() ? base::str_cat("has ", list.size(), " entries")
                                                  : std::string("is no list"),
                                  ", expected one for each of 'num_hidden_layers' ", layer_count);
  }
  std::vector<bool> windowed;
  for (const Json& entry : list) {
    if (entry != "sliding_attention" && entry != "full_attention") {
      return base::unimplemented(where, ": 'layer_types' holds ", shown(entry),
                                 "; frugal supports \"full_attention\" and \"sliding_attention\"");
    }
    windowed.push_back(entry == "sliding_attention");
  }
  return windowed;
}

Json layer_types(const ModelConfig& config) {
  Json list = Json::array();
  for (const Layer& layer : config.layers)
    list.push_back(layer.attention.window ? "sliding_attention" : "full_attention");
  return list;
}

absl::Status refuse_other(const Json& json, std::string_view where, bool supported,
                          const std::vector<std::string_view>& keys) {
  const auto word = [](bool value) { return value ? "true" : "false"; };
  for (const std::string_view key : keys) {
    FRUGAL_ASSIGN_OR_RETURN(const bool set, base::json_get_or<bool>(json, key, supported, where));
    if (set == supported) continue;
    return base::unimplemented(where, ": '", key, "' is ", word(set), "; frugal supports only ",
                               word(supported));
  }
  return absl::OkStatus();
}

absl::Status refuse_true(const Json& json, std::string_view where,
                         const std::vector<std::string_view>& keys) {
  return refuse_other(json, where, false, keys);
}

absl::Status refuse_present(const Json& json, std::string_view where,
                            const std::vector<std::string_view>& keys) {
  for (const std::string_view key : keys) {
    if (absent(json, key)) continue;
    return base::unimplemented(where, ": '", key, "' is ", shown(json[std::string(key)]),
                               "; frugal supports only null");
  }
  return absl::OkStatus();
}

void write_token_ids(const ModelConfig& config, Json& json) {
  json["bos_token_id"] = ids_to_json(config.bos_token_ids);
  json["eos_token_id"] = ids_to_json(config.eos_token_ids);
  json["pad_token_id"] = config.pad_token_id ? Json(*config.pad_token_id) : Json(nullptr);
}

void write_sizes(const ModelConfig& config, const Defaults& defaults, Json& json) {
  const Layer& layer = config.layers.front();
  json["vocab_size"] = config.vocabulary_size;
  json["hidden_size"] = config.hidden_size;
  json["intermediate_size"] = layer.feed_forward.width;
  json["num_hidden_layers"] = config.layer_count();
  json["num_attention_heads"] = layer.attention.heads;
  json["num_key_value_heads"] = layer.attention.key_value_heads;
  json["head_dim"] = layer.attention.head_size;
  json["max_position_embeddings"] = config.context_length;
  json["rms_norm_eps"] = config.final_norm.epsilon;
  json["tie_word_embeddings"] = config.tied_embeddings;
  write_token_ids(config, json);
  const std::string_view activation = name(layer.feed_forward.activation);
  if (!json.contains(defaults.activation_key) && activation != defaults.activation)
    json[std::string(defaults.activation_key)] = activation;
}

void write_rope_object(const Rope& rope, Json& object) {
  using Kind = RopeScaling::Kind;
  if (!object.is_object()) object = Json::object();
  for (const char* key : {"type", "factor", "low_freq_factor", "high_freq_factor", "beta_fast",
                          "beta_slow", "truncate", "mscale", "mscale_all_dim", "attention_factor",
                          "short_factor", "long_factor", "original_max_position_embeddings"}) {
    object.erase(key);
  }
  object["rope_type"] = "default";
  if (!rope.scaling) return;
  const RopeScaling& scaling = *rope.scaling;
  if (scaling.kind != Kind::kLongRope) object["factor"] = scaling.factor;
  if (scaling.kind != Kind::kLinear)
    object["original_max_position_embeddings"] = scaling.original_max_position_embeddings;
  switch (scaling.kind) {
    case Kind::kLinear:
      object["rope_type"] = "linear";
      return;
    case Kind::kLlama3:
      object["rope_type"] = "llama3";
      object["low_freq_factor"] = scaling.low_freq_factor;
      object["high_freq_factor"] = scaling.high_freq_factor;
      return;
    case Kind::kYarn:
      object["rope_type"] = "yarn";
      object["beta_fast"] = scaling.beta_fast;
      object["beta_slow"] = scaling.beta_slow;
      object["truncate"] = scaling.truncate;
      break;
    case Kind::kLongRope:
      object["rope_type"] = "longrope";
      object["short_factor"] = scaling.short_factors;
      object["long_factor"] = scaling.long_factors;
      break;
  }
  object["attention_factor"] = scaling.attention_factor;
}

void write_rope(const ModelConfig& config, Json& json) {
  const Rope& rope = config.layers.front().attention.rope;
  json["rope_theta"] = rope.theta;
  if (json.contains("rope_parameters") && json["rope_parameters"].is_object()) {
    json["rope_parameters"]["rope_theta"] = rope.theta;
    write_rope_object(rope, json["rope_parameters"]);
    json.erase("rope_scaling");
  } else {
    json["rope_scaling"] = nullptr;
    if (rope.scaling) write_rope_object(rope, json["rope_scaling"]);
  }
}

}  // namespace frugal::architecture
