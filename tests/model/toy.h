// Small random models for tests.
#pragma once

#include <string>
#include <string_view>

#include "architecture/model_config.h"
#include "base/json.h"
#include "base/random.h"
#include "model/decoder.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::model::toy {

inline constexpr int64_t kVocabulary = 37;

// Config text with some keys replaced: toy::config_json({{"tie_word_embeddings", false}}).
inline base::Json config_json(const base::Json& changes = base::Json::object()) {
  base::Json json = base::Json::parse(R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "intermediate_size": 48,
    "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 37,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true,
    "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.2})");
  for (const auto& [key, value] : changes.items()) json[key] = value;
  return json;
}

inline architecture::ModelConfig config(const base::Json& changes = base::Json::object()) {
  return architecture::parse_model_config(config_json(changes), "toy").value();
}

// Norm weights random, too: a forgotten one would show.
inline Decoder decoder(const base::Json& changes = base::Json::object(), uint64_t seed = 1) {
  Decoder made = Decoder::create(config(changes), seed, at::kCPU).value();
  for (const auto& [name, value] : made.parameters()) {
    if (value.dim() != 1) continue;
    base::RandomStream stream(seed, name);
    for (int64_t i = 0; i < value.numel(); ++i) {
      value.mutable_data_ptr<float>()[i] = static_cast<float>(1.0 + 0.3 * stream.normal());
    }
  }
  return made;
}

// [rows, length] int64, below the vocabulary.
inline at::Tensor ids(int64_t rows, int64_t length, std::string_view name = "ids") {
  base::RandomStream stream(1, name);
  at::Tensor result = at::empty({rows, length}, at::kLong);
  for (int64_t i = 0; i < result.numel(); ++i) {
    result.mutable_data_ptr<int64_t>()[i] = static_cast<int64_t>(stream.below(kVocabulary));
  }
  return result;
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

// Toy logits are below 10, a forward is a few hundred rounded operations deep whose errors do not
// grow: with unit roundoff 6e-8 two orders of evaluation in fp32 stay within 10 * 200 * 6e-8, about
// 1e-4; seen are 1e-5 and less.
inline constexpr double kFp32Tolerance = 1e-4;

}  // namespace frugal::model::toy
