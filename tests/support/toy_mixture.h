// A small random Mixtral, its router as sharp as one that was trained.
#pragma once

#include "support/toy_model.h"

namespace frugal::test {

struct ToyMixture {
  int64_t layers = 2;
  int64_t width = 16;
  int64_t neurons = 12;
  int64_t experts = 4;
  int64_t per_token = 2;
  int64_t vocabulary = 50;
};

inline architecture::ModelConfig toy_mixture_config(const ToyMixture& shape) {
  const base::Json json = {{"architectures", {"MixtralForCausalLM"}},
                           {"model_type", "mixtral"},
                           {"vocab_size", shape.vocabulary},
                           {"hidden_size", shape.width},
                           {"intermediate_size", shape.neurons},
                           {"num_hidden_layers", shape.layers},
                           {"num_attention_heads", 4},
                           {"num_key_value_heads", 2},
                           {"num_local_experts", shape.experts},
                           {"num_experts_per_tok", shape.per_token},
                           {"max_position_embeddings", 64},
                           {"rms_norm_eps", 1e-5},
                           {"rope_theta", 10000.0},
                           {"initializer_range", 0.25},
                           {"tie_word_embeddings", false},
                           {"sliding_window", nullptr},
                           {"bos_token_id", 1},
                           {"eos_token_id", 2}};
  return architecture::parse_model_config(json, "toy mixture").value();
}

inline model::Decoder toy_mixture(const ToyMixture& shape, uint64_t seed = 1) {
  return model::Decoder::create(toy_mixture_config(shape), seed, at::kCPU).value();
}

}  // namespace frugal::test
