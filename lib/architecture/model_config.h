// What a decoder is, as data: made from config.json by its family (families/), read by every other
// room. Nobody else looks into a config, compares an architecture's name or spells a tensor's name
// (tensors.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace frugal::architecture {

// Root-mean-square norm (Zhang & Sennrich 2019): x / sqrt(mean(x^2) + epsilon) * gain.
struct Norm {
  double epsilon = 1e-6;
  // The stored weight is gain - 1 (Gemma).
  bool one_plus = false;
  bool operator==(const Norm&) const = default;
};

// How frequencies are slowed beyond the context of the first training.
struct RopeScaling {
  enum class Kind {
    kLlama3,  // rope_type "llama3": long waves by `factor`, short ones not, those between blended
    kLinear,  // rope_type "linear": all by `factor`; the other members mean nothing
  };
  Kind kind = Kind::kLlama3;
  double factor = 8.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_position_embeddings = 8192;
  bool operator==(const RopeScaling&) const = default;
};

// Rotary position embedding (Su et al. 2021) of a whole head, in Hugging Face's half-split layout.
struct Rope {
  double theta = 10000.0;
  std::optional<RopeScaling> scaling;
  bool operator==(const Rope&) const = default;
};

// Grouped-query attention (Ainslie et al. 2023).
struct Attention {
  int64_t heads = 0;            // H
  int64_t key_value_heads = 0;  // K, a divisor of H
  int64_t head_size = 0;        // D, even
  bool input_bias = false;      // of query, key and value
  bool output_bias = false;
  std::optional<Norm> head_norm;  // of each head's query and key [D], ahead of the rotation
  Rope rope;
  // Tokens that a query sees, itself among them: key j of query i where i - j < window. Absent: all
  // before it.
  std::optional<int64_t> window;
  double score_scale = 0;  // of query · key

  int64_t query_width() const { return heads * head_size; }
  int64_t key_value_width() const { return key_value_heads * head_size; }
  bool operator==(const Attention&) const = default;
};

enum class Activation { kSilu, kGelu, kGeluTanh, kRelu };
// As Hugging Face writes it: "silu", "gelu", "gelu_pytorch_tanh", "relu".
std::string_view name(Activation activation);

// Gated: down(activation(gate(x)) * up(x)) (Shazeer 2020).
struct FeedForward {
  int64_t width = 0;  // F
  Activation activation = Activation::kSilu;
  bool bias = false;  // of gate, up and down
  bool operator==(const FeedForward&) const = default;
};

// x += after_attention(attention(before_attention(x))); x +=
// after_feed_forward(feed_forward(before_feed_forward(x))).
struct Layer {
  Norm before_attention;
  std::optional<Norm> after_attention;
  Norm before_feed_forward;
  std::optional<Norm> after_feed_forward;
  Attention attention;
  FeedForward feed_forward;
  bool operator==(const Layer&) const = default;
};

struct ModelConfig {
  std::string architecture;     // "LlamaForCausalLM"
  std::string model_type;       // "llama"
  int64_t vocabulary_size = 0;  // V
  int64_t hidden_size = 0;      // C, channels of the residual stream
  int64_t context_length = 0;   // max_position_embeddings, tokens
  // The embedding is multiplied by this, rounded to the type that the model computes in.
  double embedding_scale = 1.0;
  std::vector<Layer> layers;  // at least one; they may differ
  Norm final_norm;
  bool tied_embeddings = false;        // the head is the embedding
  double initializer_range = 0.02;     // standard deviation of fresh weights
  std::vector<int64_t> bos_token_ids;  // usually one
  std::vector<int64_t> eos_token_ids;  // Llama 3 has several
  std::optional<int64_t> pad_token_id;
  base::Json source;  // the file as read; keys that are not known travel on to the written config

  int64_t layer_count() const { return static_cast<int64_t>(layers.size()); }
  int64_t parameter_count() const;  // embeddings once when tied
};

// The one answer to "does frugal run this model": what is parsed is run by every pass and planned
// by every check. Errors: unknown architecture (with the list of known ones), a missing, impossible
// or contradictory key, named with its value; a feature that changes the computation and that
// frugal does not have.
absl::StatusOr<ModelConfig> parse_model_config(const base::Json& json, std::string_view where);

// config.json for `config`: its `source` with every field above written over it.
base::Json to_json(const ModelConfig& config);

// A Llama of equal layers that has no file yet; its sizes are the caller's to check. `layer` is
// every layer.
ModelConfig make_llama(int64_t layer_count, const Layer& layer);

}  // namespace frugal::architecture
