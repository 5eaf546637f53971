#include "format/model_config.h"

#include <array>
#include <cmath>
#include <utility>

namespace frugal::format {
namespace {

using base::Json;

struct Family {
  std::string_view architecture;
  std::string_view model_type;
};
constexpr std::array<Family, 2> kFamilies = {
    {{"LlamaForCausalLM", "llama"}, {"MistralForCausalLM", "mistral"}}};

// Far above any model, and small enough that no product of them overflows 64 bits.
constexpr int64_t kMaxVocabulary = int64_t{1} << 26;
constexpr int64_t kMaxWidth = int64_t{1} << 20;
constexpr int64_t kMaxLayers = int64_t{1} << 12;
constexpr int64_t kMaxContext = int64_t{1} << 30;
// transformers' default for Mistral where the key is absent (configuration_mistral.py).
constexpr int64_t kMistralDefaultWindow = 4096;
constexpr int64_t kMistralDefaultKeyValueHeads = 8;

absl::StatusOr<std::string> architecture_of(const Json& json, std::string_view where) {
  std::vector<std::string> known;
  for (const Family& family : kFamilies) known.emplace_back(family.architecture);
  const auto list = json.find("architectures");
  if (list == json.end() || !list->is_array() || list->empty() || !list->front().is_string()) {
    return base::invalid_argument(
        where, ": the key 'architectures' is missing or no list of names; expected one of ",
        base::join(known, ", "));
  }
  const std::string name = list->front().get<std::string>();
  for (const std::string& candidate : known) {
    if (candidate == name) return name;
  }
  return base::unimplemented(where, ": architecture '", name.substr(0, 80),
                             "' is not known; frugal reads ", base::join(known, ", "));
}

// A required integer in [1, limit].
absl::StatusOr<int64_t> positive(const Json& json, std::string_view key, int64_t limit,
                                 std::string_view where) {
  FRUGAL_ASSIGN_OR_RETURN(const int64_t value, base::json_get<int64_t>(json, key, where));
  if (value >= 1 && value <= limit) return value;
  return base::invalid_argument(where, ": '", key, "' is ", value, ", expected 1 to ", limit);
}

absl::StatusOr<int64_t> positive_or(const Json& json, std::string_view key, int64_t fallback,
                                    int64_t limit, std::string_view where) {
  const auto found = json.find(std::string(key));
  if (found == json.end() || found->is_null()) return fallback;
  return positive(json, key, limit, where);
}

absl::StatusOr<double> positive_number(const Json& json, std::string_view key,
                                       std::string_view where) {
  FRUGAL_ASSIGN_OR_RETURN(const double value, base::json_get<double>(json, key, where));
  if (std::isfinite(value) && value > 0) return value;
  return base::invalid_argument(where, ": '", key, "' is ", value, ", expected a positive number");
}

absl::Status read_sizes(const Json& json, std::string_view where, ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(config.vocabulary_size,
                          positive(json, "vocab_size", kMaxVocabulary, where));
  FRUGAL_ASSIGN_OR_RETURN(config.hidden_size, positive(json, "hidden_size", kMaxWidth, where));
  FRUGAL_ASSIGN_OR_RETURN(config.intermediate_size,
                          positive(json, "intermediate_size", kMaxWidth, where));
  FRUGAL_ASSIGN_OR_RETURN(config.layer_count,
                          positive(json, "num_hidden_layers", kMaxLayers, where));
  FRUGAL_ASSIGN_OR_RETURN(config.head_count,
                          positive(json, "num_attention_heads", kMaxWidth, where));
  FRUGAL_ASSIGN_OR_RETURN(config.context_length,
                          positive(json, "max_position_embeddings", kMaxContext, where));
  const int64_t key_value_default =
      config.model_type == "mistral" ? kMistralDefaultKeyValueHeads : config.head_count;
  FRUGAL_ASSIGN_OR_RETURN(
      config.key_value_head_count,
      positive_or(json, "num_key_value_heads", key_value_default, kMaxWidth, where));
  if (config.head_count % config.key_value_head_count != 0) {
    return base::invalid_argument(where, ": 'num_key_value_heads' is ", config.key_value_head_count,
                                  ", expected a divisor of 'num_attention_heads' ",
                                  config.head_count);
  }
  FRUGAL_ASSIGN_OR_RETURN(config.head_size, positive_or(json, "head_dim", 0, kMaxWidth, where));
  if (config.head_size == 0) {
    if (config.hidden_size % config.head_count != 0) {
      return base::invalid_argument(where, ": 'head_dim' is absent and 'hidden_size' ",
                                    config.hidden_size, " is no multiple of 'num_attention_heads' ",
                                    config.head_count);
    }
    config.head_size = config.hidden_size / config.head_count;
  }
  if (config.head_size % 2 != 0) {
    return base::invalid_argument(where, ": the head size is ", config.head_size,
                                  ", expected an even number (rotary pairs)");
  }
  if (config.head_count > kMaxWidth / config.head_size) {
    return base::invalid_argument(where, ": ", config.head_count, " heads of ", config.head_size,
                                  " are wider than ", kMaxWidth);
  }
  return absl::OkStatus();
}

// Features of the configuration that change the computation and that no pass here implements.
absl::Status refuse_unsupported(const Json& json, std::string_view where,
                                const ModelConfig& config) {
  for (const std::string_view key : {"attention_bias", "mlp_bias", "rope_interleaved"}) {
    FRUGAL_ASSIGN_OR_RETURN(const bool set, base::json_get_or<bool>(json, key, false, where));
    if (set) return base::unimplemented(where, ": '", key, "' is true; frugal supports only false");
  }
  FRUGAL_ASSIGN_OR_RETURN(const std::string activation,
                          base::json_get_or<std::string>(json, "hidden_act", "silu", where));
  if (activation != "silu" && activation != "swish") {
    return base::unimplemented(where, ": 'hidden_act' is '", activation,
                               "'; frugal supports only 'silu'");
  }
  FRUGAL_ASSIGN_OR_RETURN(const double rotary,
                          base::json_get_or<double>(json, "partial_rotary_factor", 1.0, where));
  if (rotary != 1.0) {
    return base::unimplemented(where, ": 'partial_rotary_factor' is ", rotary,
                               "; frugal supports only 1");
  }
  if (config.model_type != "mistral") return absl::OkStatus();
  // An explicit null says "no window"; an absent key means transformers' default.
  const auto window = json.find("sliding_window");
  if (window != json.end() && window->is_null()) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(
      const int64_t size,
      positive_or(json, "sliding_window", kMistralDefaultWindow, kMaxContext, where));
  if (size >= config.context_length) return absl::OkStatus();
  return base::unimplemented(
      where, ": a sliding window of ", size, " tokens",
      window == json.end() ? " (the default of Mistral)" : "",
      " is in effect below 'max_position_embeddings' ", config.context_length,
      "; frugal has full attention only: set 'max_position_embeddings' to at most ", size,
      ", or 'sliding_window' to null if the model was trained without it");
}

absl::StatusOr<RopeScaling> parse_llama3_scaling(const Json& rope, std::string_view where) {
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

// One of "rope_scaling" (old) and "rope_parameters" (transformers >= 5); both have the same
// members.
absl::Status read_rope_object(const Json& rope, std::string_view where, ModelConfig& config) {
  if (!rope.is_object()) return base::invalid_argument(where, " is no object");
  if (rope.contains("rope_theta")) {
    FRUGAL_ASSIGN_OR_RETURN(config.rope_theta, positive_number(rope, "rope_theta", where));
  }
  FRUGAL_ASSIGN_OR_RETURN(const double rotary,
                          base::json_get_or<double>(rope, "partial_rotary_factor", 1.0, where));
  if (rotary != 1.0) {
    return base::unimplemented(where, ": 'partial_rotary_factor' is ", rotary,
                               "; frugal supports only 1");
  }
  const std::string_view type_key = rope.contains("rope_type") ? "rope_type" : "type";
  FRUGAL_ASSIGN_OR_RETURN(const std::string type,
                          base::json_get_or<std::string>(rope, type_key, "default", where));
  if (type == "default") {
    config.rope_scaling.reset();
    return absl::OkStatus();
  }
  if (type != "llama3") {
    return base::unimplemented(where, ": '", type_key, "' is '", type,
                               "'; frugal supports 'default' and 'llama3'");
  }
  FRUGAL_ASSIGN_OR_RETURN(config.rope_scaling, parse_llama3_scaling(rope, where));
  return absl::OkStatus();
}

absl::Status read_rope(const Json& json, std::string_view where, ModelConfig& config) {
  if (json.contains("rope_theta")) {
    FRUGAL_ASSIGN_OR_RETURN(config.rope_theta, positive_number(json, "rope_theta", where));
  }
  for (const std::string_view key : {"rope_scaling", "rope_parameters"}) {  // the newer place wins
    const auto found = json.find(std::string(key));
    if (found == json.end() || found->is_null()) continue;
    FRUGAL_RETURN_IF_ERROR(read_rope_object(*found, base::str_cat(where, ": '", key, "'"), config));
  }
  return absl::OkStatus();
}

// An id, a list of ids, or null; -1 is an old spelling of "none".
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
      return base::invalid_argument(
          where, ": '", key, "' holds ",
          element.is_primitive()
              ? element.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 40)
              : "a list or object",
          ", expected ids below 'vocab_size' ", vocabulary_size, " or null");
    }
    ids.push_back(element.get<int64_t>());
  }
  return ids;
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

Json ids_to_json(const std::vector<int64_t>& ids) {
  if (ids.empty()) return nullptr;
  return ids.size() == 1 ? Json(ids.front()) : Json(ids);
}

// Writes the members of a rope object that `config` decides.
void write_rope(const ModelConfig& config, Json& rope) {
  rope["rope_type"] = config.rope_scaling ? "llama3" : "default";
  for (const char* key : {"type", "factor", "low_freq_factor", "high_freq_factor",
                          "original_max_position_embeddings"}) {
    rope.erase(key);
  }
  if (!config.rope_scaling) return;
  rope["factor"] = config.rope_scaling->factor;
  rope["low_freq_factor"] = config.rope_scaling->low_freq_factor;
  rope["high_freq_factor"] = config.rope_scaling->high_freq_factor;
  rope["original_max_position_embeddings"] = config.rope_scaling->original_max_position_embeddings;
}

}  // namespace

int64_t ModelConfig::parameter_count() const {
  int64_t count = 0;
  for (const ExpectedTensor& tensor : expected_tensors(*this)) {
    int64_t elements = 1;
    for (const int64_t dimension : tensor.shape) elements *= dimension;
    count += elements;
  }
  return count;
}

absl::StatusOr<ModelConfig> parse_model_config(const Json& json, std::string_view where) {
  if (!json.is_object()) return base::invalid_argument(where, ": expected a JSON object");
  ModelConfig config;
  FRUGAL_ASSIGN_OR_RETURN(config.architecture, architecture_of(json, where));
  for (const Family& family : kFamilies) {
    if (family.architecture == config.architecture)
      config.model_type = std::string(family.model_type);
  }
  FRUGAL_RETURN_IF_ERROR(read_sizes(json, where, config));
  FRUGAL_ASSIGN_OR_RETURN(config.norm_epsilon, positive_number(json, "rms_norm_eps", where));
  FRUGAL_ASSIGN_OR_RETURN(config.tied_embeddings,
                          base::json_get_or<bool>(json, "tie_word_embeddings", false, where));
  FRUGAL_RETURN_IF_ERROR(read_rope(json, where, config));
  FRUGAL_RETURN_IF_ERROR(read_token_ids(json, where, config));
  FRUGAL_RETURN_IF_ERROR(refuse_unsupported(json, where, config));
  config.source = json;
  return config;
}

Json to_json(const ModelConfig& config) {
  Json json = config.source.is_object() ? config.source : Json::object();
  if (!config.source.is_object()) {
    json = {{"architectures", Json::array()},
            {"hidden_act", "silu"},
            {"attention_bias", false},
            {"mlp_bias", false}};
  }
  json["architectures"] = Json::array({config.architecture});
  json["model_type"] = config.model_type;
  json["vocab_size"] = config.vocabulary_size;
  json["hidden_size"] = config.hidden_size;
  json["intermediate_size"] = config.intermediate_size;
  json["num_hidden_layers"] = config.layer_count;
  json["num_attention_heads"] = config.head_count;
  json["num_key_value_heads"] = config.key_value_head_count;
  json["head_dim"] = config.head_size;
  json["max_position_embeddings"] = config.context_length;
  json["rms_norm_eps"] = config.norm_epsilon;
  json["tie_word_embeddings"] = config.tied_embeddings;
  json["bos_token_id"] = ids_to_json(config.bos_token_ids);
  json["eos_token_id"] = ids_to_json(config.eos_token_ids);
  json["pad_token_id"] = config.pad_token_id ? Json(*config.pad_token_id) : Json(nullptr);
  json["rope_theta"] = config.rope_theta;
  if (json.contains("rope_parameters") && json["rope_parameters"].is_object()) {
    json["rope_parameters"]["rope_theta"] = config.rope_theta;
    write_rope(config, json["rope_parameters"]);
    json.erase("rope_scaling");
  } else {
    json["rope_scaling"] = nullptr;
    if (config.rope_scaling) write_rope(config, json["rope_scaling"]);
  }
  return json;
}

std::vector<ExpectedTensor> expected_tensors(const ModelConfig& config) {
  const int64_t width = config.hidden_size;
  const int64_t query = config.head_count * config.head_size;
  const int64_t key_value = config.key_value_head_count * config.head_size;
  std::vector<ExpectedTensor> tensors;
  tensors.reserve(static_cast<size_t>(config.layer_count) * 9 + 3);
  tensors.push_back({"model.embed_tokens.weight", {config.vocabulary_size, width}});
  for (int64_t i = 0; i < config.layer_count; ++i) {
    const std::string layer = base::str_cat("model.layers.", i, ".");
    tensors.push_back({layer + "input_layernorm.weight", {width}});
    tensors.push_back({layer + "self_attn.q_proj.weight", {query, width}});
    tensors.push_back({layer + "self_attn.k_proj.weight", {key_value, width}});
    tensors.push_back({layer + "self_attn.v_proj.weight", {key_value, width}});
    tensors.push_back({layer + "self_attn.o_proj.weight", {width, query}});
    tensors.push_back({layer + "post_attention_layernorm.weight", {width}});
    tensors.push_back({layer + "mlp.gate_proj.weight", {config.intermediate_size, width}});
    tensors.push_back({layer + "mlp.up_proj.weight", {config.intermediate_size, width}});
    tensors.push_back({layer + "mlp.down_proj.weight", {width, config.intermediate_size}});
  }
  tensors.push_back({"model.norm.weight", {width}});
  if (!config.tied_embeddings)
    tensors.push_back({"lm_head.weight", {config.vocabulary_size, width}});
  return tensors;
}

}  // namespace frugal::format
