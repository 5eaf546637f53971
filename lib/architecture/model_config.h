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
  // LayerNorm (Ba et al. 2016): the mean is taken from x first, and a bias is added.
  bool centered = false;
  bool operator==(const Norm&) const = default;
};

// How frequencies are slowed beyond the context of the first training.
struct RopeScaling {
  enum class Kind {
    kLlama3,    // rope_type "llama3": long waves by `factor`, short ones not, those between blended
    kLinear,    // rope_type "linear": all by `factor`
    kYarn,      // rope_type "yarn" (Peng et al. 2024): as llama3, by turns within the first context
    kLongRope,  // rope_type "longrope" (Ding et al. 2024): each by a factor of its own, one set for
                // sequences within the first context, one for longer ones
  };
  Kind kind = Kind::kLlama3;
  double factor = 8.0;                                   // not of longrope
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  // llama3
  int64_t original_max_position_embeddings = 8192;       // not of linear
  double beta_fast = 32.0, beta_slow = 1.0;              // yarn: turns
  bool truncate = true;                                  // yarn: bounds are whole channels
  std::vector<double> short_factors, long_factors;       // longrope: of each pair of channels
  double attention_factor = 1.0;                         // yarn, longrope: of cosines and sines
  bool operator==(const RopeScaling&) const = default;
};

// Rotary position embedding (Su et al. 2021) in Hugging Face's half-split layout.
struct Rope {
  double theta = 10000.0;
  // The first channels of a head, that turn: even. Absent: all of them; 0: none (a layer without
  // positions).
  std::optional<int64_t> channels;
  std::optional<RopeScaling> scaling;
  int64_t turned(int64_t head_size) const { return channels.value_or(head_size); }
  bool operator==(const Rope&) const = default;
};

// Grouped-query attention (Ainslie et al. 2023).
struct Attention {
  int64_t heads = 0;            // H
  int64_t key_value_heads = 0;  // K, a divisor of H
  int64_t head_size = 0;        // D, even
  bool input_bias = false;      // of query, key and value
  bool output_bias = false;
  std::optional<Norm> query_key_norm;  // of query and key, ahead of the rotation
  bool norm_spans_heads = false;       // ... over all heads at once [H D], [K D]; else each [D]
  Rope rope;
  // Tokens that a query sees, itself among them: key j of query i where i - j < window. Absent: all
  // before it.
  std::optional<int64_t> window;
  double score_scale = 0;           // of query · key
  std::optional<double> score_cap;  // scores become cap * tanh(score / cap)

  int64_t query_width() const { return heads * head_size; }
  int64_t key_value_width() const { return key_value_heads * head_size; }
  bool operator==(const Attention&) const = default;
};

enum class Activation { kSilu, kGelu, kGeluTanh, kRelu };
// As Hugging Face writes it: "silu", "gelu", "gelu_pytorch_tanh", "relu".
std::string_view name(Activation activation);

// Gated: down(activation(gate(x)) * up(x)) (Shazeer 2020); else down(activation(up(x))).
struct FeedForward {
  int64_t width = 0;  // F
  Activation activation = Activation::kSilu;
  bool bias = false;  // of gate, up and down
  bool gated = true;
  bool operator==(const FeedForward&) const = default;
};

// A mixture of experts (Shazeer et al. 2017): each token runs through the feed-forwards that the
// router's softmax gives the most weight, and their outputs are added by these weights.
struct Experts {
  int64_t count = 0;       // E
  int64_t per_token = 0;   // how many of them a token runs through
  bool normalized = true;  // the weights of these are divided by their sum
  bool operator==(const Experts&) const = default;
};

// x += m * after_attention(attention(before_attention(x))); x += m *
// after_feed_forward(feed_forward(before_feed_forward(x))); an absent norm changes nothing.
struct Layer {
  std::optional<Norm> before_attention;
  std::optional<Norm> after_attention;
  std::optional<Norm> before_feed_forward;
  std::optional<Norm> after_feed_forward;
  double residual_multiplier = 1.0;  // m
  Attention attention;
  FeedForward feed_forward;  // of each expert, where there are some
  std::optional<Experts> experts;
  bool operator==(const Layer&) const = default;
};

// What becomes of the head's products: y = scale * (hidden · row); logit = cap * tanh(y / cap).
struct LogitRule {
  double scale = 1.0;
  std::optional<double> cap;  // absent: logit = y
  bool changes_nothing() const { return scale == 1.0 && !cap; }
  bool operator==(const LogitRule&) const = default;
};

struct ModelConfig {
  std::string architecture;     // "LlamaForCausalLM"
  std::string model_type;       // "llama"
  int64_t vocabulary_size = 0;  // V
  int64_t hidden_size = 0;      // C, channels of the residual stream
  int64_t context_length = 0;   // max_position_embeddings, tokens
  // The embedding is multiplied by this, rounded to the type that the model computes in.
  double embedding_scale = 1.0;
  // A table of the context's length is added to the embedding, row by place: no sequence is longer.
  bool learned_positions = false;
  std::vector<Layer> layers;  // at least one; they may differ
  Norm final_norm;
  bool tied_embeddings = false;  // the head is the embedding
  // The files hold the experts of a layer as stacks (transformers from 5 on): of gates and ups, and
  // of downs. Not in config.json: who reads the files sees it.
  bool stacked_experts = false;
  LogitRule logit_rule;
  double initializer_range = 0.02;     // standard deviation of fresh weights
  double router_loss_weight = 0.001;   // of the balance of experts in training
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

// A model of equal layers that has no file yet: a Mixtral where they have experts, else a Llama.
// Its sizes are the caller's to check.
ModelConfig make_decoder(int64_t layer_count, const Layer& layer);

}  // namespace frugal::architecture
