// What a Hugging Face config.json says about a decoder, in one type for every family that frugal
// knows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace frugal::format {

// Llama 3.1 frequency scaling (rope_type "llama3").
struct RopeScaling {
  double factor = 8.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_position_embeddings = 8192;
  bool operator==(const RopeScaling&) const = default;
};

struct ModelConfig {
  std::string architecture;          // "LlamaForCausalLM"
  std::string model_type;            // "llama", "mistral"
  int64_t vocabulary_size = 0;       // V
  int64_t hidden_size = 0;           // C
  int64_t intermediate_size = 0;     // F
  int64_t layer_count = 0;           // L
  int64_t head_count = 0;            // H
  int64_t key_value_head_count = 0;  // K
  int64_t head_size = 0;             // D
  int64_t context_length = 0;        // max_position_embeddings, tokens
  double norm_epsilon = 1e-6;
  double rope_theta = 10000.0;
  std::optional<RopeScaling> rope_scaling;
  bool tied_embeddings = false;
  std::vector<int64_t> bos_token_ids;  // usually one
  std::vector<int64_t> eos_token_ids;  // Llama 3 has several
  std::optional<int64_t> pad_token_id;
  base::Json source;  // the file as read; unknown keys travel on to the written config

  int64_t parameter_count() const;  // embeddings once when tied
};

// Errors: unknown architecture (with the list of known ones), a missing or impossible key, named
// with its value. Reads rope_theta and rope_scaling from both the old place and "rope_parameters"
// (transformers >= 5).
absl::StatusOr<ModelConfig> parse_model_config(const base::Json& json, std::string_view where);

// config.json text for `config`: its `source` with every field above written over it.
base::Json to_json(const ModelConfig& config);

// Shape of every weight the config demands: Hugging Face name -> shape.
struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
};
std::vector<ExpectedTensor> expected_tensors(const ModelConfig& config);

}  // namespace frugal::format
