// Pieces of config.json that families have in common.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "architecture/model_config.h"

namespace frugal::architecture {

inline constexpr int64_t kMaxContext = int64_t{1} << 30;

// A required integer in [1, limit]; `fallback` where the key is absent or null.
absl::StatusOr<int64_t> positive(const base::Json& json, std::string_view key, int64_t limit,
                                 std::string_view where);
absl::StatusOr<int64_t> positive_or(const base::Json& json, std::string_view key, int64_t fallback,
                                    int64_t limit, std::string_view where);
// A required number above zero and finite.
absl::StatusOr<double> positive_number(const base::Json& json, std::string_view key,
                                       std::string_view where);
absl::StatusOr<double> positive_number_or(const base::Json& json, std::string_view key,
                                          double fallback, std::string_view where);

// An id, a list of ids, or null under `key`; -1 is an old spelling of "none". Errors: ids outside
// of [0, vocabulary_size).
absl::StatusOr<std::vector<int64_t>> token_ids(const base::Json& json, std::string_view key,
                                               int64_t vocabulary_size, std::string_view where);

// Vocabulary, width, context, token ids, tied embeddings; `config.layers` becomes equal layers of
// heads and width as the config gives them, with RMS norms of "rms_norm_eps" and SwiGLU.
struct Defaults {
  std::optional<int64_t> key_value_heads =
      {};  // where "num_key_value_heads" is absent; else the number of heads
  std::optional<int64_t> head_size = {};  // where "head_dim" is absent; else width / heads
  bool tied_embeddings = false;
  std::string_view activation_key = "hidden_act";
  std::string_view activation = "silu";
};
absl::Status read_sizes(const base::Json& json, std::string_view where, const Defaults& defaults,
                        ModelConfig& config);

// Parts of it, for families that call the others something else.
inline constexpr int64_t kMaxVocabulary = int64_t{1} << 26;  // far above any model, and no product
inline constexpr int64_t kMaxWidth = int64_t{1} << 20;       // ... of these overflows 64 bits
inline constexpr int64_t kMaxLayers = int64_t{1} << 12;
absl::StatusOr<Activation> read_activation(const base::Json& json, std::string_view where,
                                           const Defaults& defaults);
absl::Status read_token_ids(const base::Json& json, std::string_view where, ModelConfig& config);

// What a family's rotation may be, and what its defaults follow from.
struct RopeRules {
  int64_t head_size = 0;
  int64_t context_length = 0;
  std::optional<int64_t> original_context = {};  // "original_max_position_embeddings" beside it
  bool partial = false;                          // "partial_rotary_factor" may be below 1
  double theta = 10000.0;
};
// Of the config as read_sizes left it; "original_max_position_embeddings" of the config itself.
absl::StatusOr<RopeRules> rope_rules(const base::Json& json, std::string_view where,
                                     const ModelConfig& config);
// rope_theta, scaling and the share that turns, from both the old place ("rope_scaling") and
// "rope_parameters" (transformers >= 5).
absl::StatusOr<Rope> read_rope(const base::Json& json, std::string_view where,
                               const RopeRules& rules);
// The same by the rules of the config itself.
absl::StatusOr<Rope> read_rope(const base::Json& json, std::string_view where,
                               const ModelConfig& config);
// One such object over what `rope` says so far.
absl::Status read_rope_object(const base::Json& object, std::string_view where,
                              const RopeRules& rules, Rope& rope);

// Which layers are windowed, by "layer_types" ("sliding_attention", "full_attention"), where the
// key is there. Errors: another number of entries than layers, other words.
absl::StatusOr<std::optional<std::vector<bool>>> read_layer_types(const base::Json& json,
                                                                  std::string_view where,
                                                                  size_t layer_count);
base::Json layer_types(const ModelConfig& config);

// Refuses keys that are not as frugal computes, and change the computation.
absl::Status refuse_other(const base::Json& json, std::string_view where, bool supported,
                          const std::vector<std::string_view>& keys);
// The same of those that are true.
absl::Status refuse_true(const base::Json& json, std::string_view where,
                         const std::vector<std::string_view>& keys);
// Refuses keys that are neither absent nor null.
absl::Status refuse_present(const base::Json& json, std::string_view where,
                            const std::vector<std::string_view>& keys);

// What read_sizes reads, of the first layer, beside the initializer range, which nothing changes;
// and the rope of all layers.
void write_sizes(const ModelConfig& config, const Defaults& defaults, base::Json& json);
void write_token_ids(const ModelConfig& config, base::Json& json);
void write_rope(const ModelConfig& config, base::Json& json);
// The members of one rope object.
void write_rope_object(const Rope& rope, base::Json& object);

// Sets the window of the layers that "layer_types" calls windowed, or else of all but each
// `period`-th. `otherwise`: the window where "sliding_window" is absent.
absl::Status read_layer_windows(const base::Json& json, std::string_view where, int64_t otherwise,
                                int64_t period, ModelConfig& config);
// "attention_bias" (of query, key, value and output) and "mlp_bias", false where absent, for all
// layers.
absl::Status read_biases(const base::Json& json, std::string_view where, ModelConfig& config);
// A bound of logits or scores: `otherwise` where the key is absent, none where it is null.
absl::StatusOr<std::optional<double>> cap_or(const base::Json& json, std::string_view key,
                                             double otherwise, std::string_view where);

}  // namespace frugal::architecture
