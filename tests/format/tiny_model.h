// Small models for the tests of this room.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "architecture/tensors.h"
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "format/checkpoint.h"
#include "support/shared_data.h"

namespace frugal::format::test {

// A Llama of 2 layers: C 32, F 64, H 4, K 2, D 8, V 40.
inline base::Json tiny_config_json() {
  return base::Json::parse(R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 40,
    "max_position_embeddings": 128, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "hidden_act": "silu",
    "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32",
    "a_key_of_tomorrow": {"kept": [1, 2, 3]}})");
}

inline architecture::ModelConfig tiny_config() {
  return architecture::parse_model_config(tiny_config_json(), "tiny").value();
}

// Seeded values in about [-3, 3].
inline std::vector<float> random_values(std::string_view name, int64_t count) {
  base::RandomStream random(7, name);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

inline int64_t element_count(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t dimension : shape) count *= dimension;
  return count;
}

inline std::vector<CheckpointWriter::Tensor> declarations(const architecture::ModelConfig& config,
                                                          DType dtype) {
  std::vector<CheckpointWriter::Tensor> tensors;
  for (const architecture::Tensor& expected : architecture::tensors(config)) {
    tensors.push_back({expected.name, dtype, expected.shape, std::nullopt});
  }
  return tensors;
}

// Writes `config` with random_values(name) for every tensor.
inline absl::Status write_model(const std::filesystem::path& folder,
                                const architecture::ModelConfig& config, DType dtype,
                                int64_t max_shard_bytes = int64_t{5} << 30) {
  const auto tensors = declarations(config, dtype);
  FRUGAL_ASSIGN_OR_RETURN(CheckpointWriter writer,
                          CheckpointWriter::create(folder, config, tensors, max_shard_bytes));
  for (const auto& tensor : tensors) {
    FRUGAL_RETURN_IF_ERROR(
        writer.write_values(tensor.name, random_values(tensor.name, element_count(tensor.shape))));
  }
  return writer.finish();
}

// Not through AtomicFile: syncing thousands of mutated files to the disk would take minutes.
inline void write_text(const std::filesystem::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  ASSERT_TRUE(file.good()) << path;
}

// A safetensors file from a hand-written header and data.
inline std::string raw_safetensors(std::string_view header, std::string_view data) {
  const uint64_t length = header.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  return file.append(header).append(data);
}

}  // namespace frugal::format::test
