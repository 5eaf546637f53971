// A small random Llama on disk and random windows of ids.
#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"
#include "base/random.h"
#include "format/checkpoint.h"
#include "model/decoder.h"
#include "tensor/aten.h"
#include "text/dataset.h"

namespace frugal::test {

struct ToyShape {
  int64_t layers = 3;
  int64_t width = 32;
  int64_t neurons = 64;
  int64_t vocabulary = 50;
  bool tied = false;
};

// A GPT-2: 2 layers, C 32, H 4, V 48.
inline architecture::ModelConfig toy_gpt2_config(int64_t positions = 64) {
  const base::Json json = {{"architectures", {"GPT2LMHeadModel"}},
                           {"model_type", "gpt2"},
                           {"n_embd", 32},
                           {"n_head", 4},
                           {"n_layer", 2},
                           {"n_positions", positions},
                           {"vocab_size", 48}};
  return architecture::parse_model_config(json, "toy GPT-2").value();
}

inline architecture::ModelConfig toy_config(const ToyShape& shape) {
  const base::Json json = {
      {"architectures", {"LlamaForCausalLM"}},
      {"model_type", "llama"},
      {"vocab_size", shape.vocabulary},
      {"hidden_size", shape.width},
      {"intermediate_size", shape.neurons},
      {"num_hidden_layers", shape.layers},
      {"num_attention_heads", 4},
      {"num_key_value_heads", 2},
      {"max_position_embeddings", 64},
      {"rms_norm_eps", 1e-5},
      {"rope_theta", 10000.0},
      {"initializer_range", 0.25},  // large enough for attention to be far from uniform
      {"tie_word_embeddings", shape.tied},
      {"bos_token_id", 1},
      {"eos_token_id", 2}};
  return architecture::parse_model_config(json, "toy").value();
}

inline model::Decoder toy_decoder(const ToyShape& shape, uint64_t seed = 1) {
  return model::Decoder::create(toy_config(shape), seed, at::kCPU).value();
}

inline format::Checkpoint save_toy(const model::Decoder& decoder,
                                   const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const absl::Status status = decoder.save(folder, format::DType::kF32);
  TORCH_CHECK(status.ok(), status.ToString());
  return format::Checkpoint::open(folder).value();
}

inline text::Windows toy_windows(int64_t count, int64_t length, int64_t vocabulary = 50,
                                 uint64_t seed = 1) {
  text::Windows windows;
  windows.count = count;
  windows.length = length;
  windows.text_sha256 = "toy";
  base::RandomStream stream(seed, "windows");
  for (int64_t i = 0; i < count * length; ++i) {
    windows.ids.push_back(
        static_cast<text::TokenId>(stream.below(static_cast<uint64_t>(vocabulary))));
  }
  return windows;
}

inline model::Batch toy_batch(const text::Windows& windows) {
  model::Batch batch;
  batch.ids = at::tensor(windows.ids, at::kInt).to(at::kLong).view({windows.count, windows.length});
  return batch;
}

}  // namespace frugal::test
