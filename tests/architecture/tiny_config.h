// Configs of small models for the tests of this room.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "architecture/model_config.h"
#include "base/json.h"
#include "support/shared_data.h"

namespace frugal::architecture::test {

// A Llama of 2 layers: C 32, F 64, H 4, K 2, D 8, V 40.
inline base::Json tiny_config_json() {
  return base::Json::parse(R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 40,
    "max_position_embeddings": 128, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "hidden_act": "silu",
    "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32",
    "a_key_of_tomorrow": {"kept": [1, 2, 3]}})");
}

// A GPT-2 of the same sizes.
inline base::Json tiny_gpt2_json() {
  return base::Json::parse(R"({
    "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": 32, "n_head": 4, "n_layer": 2,
    "n_positions": 128, "n_ctx": 128, "vocab_size": 40, "layer_norm_epsilon": 1e-05, "activation_function": "gelu_new",
    "bos_token_id": 1, "eos_token_id": 2, "a_key_of_tomorrow": {"kept": [1, 2, 3]}})");
}

// The same of another family, with some keys replaced; a null value erases its key.
inline base::Json tiny_config_json(std::string_view architecture, std::string_view model_type,
                                   const base::Json& changes = base::Json::object()) {
  base::Json json = model_type == "gpt2" ? tiny_gpt2_json() : tiny_config_json();
  json["architectures"] = {architecture};
  json["model_type"] = model_type;
  for (const auto& [key, value] : changes.items()) {
    if (value.is_null()) {
      json.erase(key);
    } else {
      json[key] = value;
    }
  }
  return json;
}

inline ModelConfig parsed(const base::Json& json) {
  return parse_model_config(json, "tiny").value();
}
inline ModelConfig tiny_config() { return parsed(tiny_config_json()); }

inline ModelConfig tiny_gemma3(const base::Json& changes = base::Json::object()) {
  base::Json json = tiny_config_json("Gemma3ForCausalLM", "gemma3_text",
                                     {{"hidden_act", nullptr},
                                      {"rope_theta", nullptr},
                                      {"tie_word_embeddings", nullptr},
                                      {"num_hidden_layers", 7},
                                      {"head_dim", 8},
                                      {"query_pre_attn_scalar", 16},
                                      {"sliding_window", 16}});
  for (const auto& [key, value] : changes.items()) json[key] = value;
  return parsed(json);
}

}  // namespace frugal::architecture::test
