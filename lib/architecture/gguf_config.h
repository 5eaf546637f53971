// The way back from llama.cpp's numbers to a model: what the metadata of a GGUF file says, and the
// config that it comes to. The family's own reader has the last word, so that what is imported is
// what a config.json could have said.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "architecture/model_config.h"
#include "base/status.h"

namespace frugal::architecture {

struct GgufNumbers {
  std::string architecture;  // `general.architecture`
  int64_t vocabulary_size = 0;
  int64_t hidden_size = 0;
  int64_t context_length = 0;
  int64_t layer_count = 0;
  int64_t feed_forward_width = 0;
  int64_t heads = 0;
  int64_t key_value_heads = 0;
  int64_t head_size = 0;
  double epsilon = 0;
  Rope rope;                      // of layers that see everything
  std::optional<int64_t> window;  // absent: none
  std::vector<bool> windowed;     // by layer, where there is a window; empty: all
  Rope windowed_rope;             // of layers with a window
  std::optional<int64_t> experts, experts_per_token;  // absent: none
  // What bounds scores and logits; 0: nothing. Absent: what the family says.
  std::optional<double> score_cap, logit_cap;
  // Where the architecture's graph has such (GgufGraph::multipliers); absent: what it has without.
  std::optional<double> score_scale, embedding_scale, residual_scale, logit_divisor;
  bool attention_bias = false;  // the file has biases behind query, key and value
  bool feed_forward_bias = false;
  bool tied_embeddings = false;
  std::vector<int64_t> bos_token_ids, eos_token_ids;
  std::optional<int64_t> pad_token_id;
};

// The most layers that a config can have; to be looked at before anything is allocated for them.
inline constexpr int64_t kMaxGgufLayers = int64_t{1} << 12;

// llama.cpp's architectures that a family of ours has.
std::vector<std::string> gguf_architectures();

// Errors: Unimplemented for an architecture that no family has, with those that are read; what the
// family refuses; numbers that it cannot say. `where` names the file.
absl::StatusOr<ModelConfig> config_of_gguf(const GgufNumbers& numbers, std::string_view where);

}  // namespace frugal::architecture
