#include "train/estimate.h"

#include <algorithm>

namespace frugal::train {
namespace {

using architecture::Layer;

constexpr int64_t kFloat = 4;  // bytes

// Counts what the layers' operators keep for their gradients (model/layer_runner.cpp), per token.
class LayerGraph {
 public:
  LayerGraph(int64_t width, const Layer& layer, int64_t length, bool bf16)
      : width_(width), layer_(layer), length_(length), bf16_(bf16), product_(bf16 ? 2 : kFloat) {}

  int64_t bytes() const { return norms() + attention() + feed_forward(); }

 private:
  // A norm keeps its input, LayerNorm the centered one, too.
  int64_t norms() const {
    int64_t kept = 0;
    for (const auto* norm : {&layer_.before_attention, &layer_.after_attention,
                             &layer_.before_feed_forward, &layer_.after_feed_forward}) {
      if (*norm) kept += (*norm)->centered ? 2 : 1;
    }
    return kept * kFloat * width_;
  }

  // What `readers` matrices read: in bf16 each has a copy of its own.
  int64_t read_by(int64_t readers, int64_t channels) const {
    return bf16_ ? readers * product_ * channels : kFloat * channels;
  }

  // Queries, keys and values as the heads meet them, their mix, and that in the order of channels.
  int64_t attention() const {
    const architecture::Attention& attention = layer_.attention;
    const int64_t query = attention.query_width(), key = attention.key_value_width();
    int64_t bytes = read_by(3, width_) + 5 * product_ * query;
    if (attention.query_key_norm) bytes += kFloat * (query + key);
    // Capped scores are there as a whole: tanh, shares and what is seen.
    if (attention.score_cap) bytes += attention.heads * length_ * (2 * kFloat + 1);
    return bytes;
  }

  // Gated: gate, its activation, up and their product; else up and its activation.
  int64_t feed_forward() const {
    const int64_t neurons =
        (layer_.feed_forward.gated ? 4 : 2) * product_ * layer_.feed_forward.width;
    const int64_t readers = layer_.feed_forward.gated ? 2 : 1;
    if (!layer_.experts) return read_by(readers, width_) + neurons;
    // The router reads; each expert has its rows, and its outputs by token to be weighted.
    const int64_t routed = read_by(readers, width_) + neurons + product_ * width_;
    return read_by(1, width_) + layer_.experts->per_token * routed;
  }

  int64_t width_;
  const Layer& layer_;
  int64_t length_;
  bool bf16_;
  int64_t product_;  // bytes of a number that a product reads or makes
};

}  // namespace

TrainingMemory training_memory(const architecture::ModelConfig& config, const TrainOptions& options,
                               int64_t length, Precision precision,
                               const architecture::ModelConfig* teacher) {
  const bool bf16 = precision == Precision::kBf16;
  const bool distills = teacher != nullptr && options.distillation_weight > 0;
  const int64_t parameters = config.parameter_count(), tokens = options.batch_sequences * length;
  const int64_t table = config.vocabulary_size * config.hidden_size;
  TrainingMemory memory;
  memory.state = 4 * kFloat * parameters + (options.keep_best ? kFloat * parameters : 0) +
                 (bf16 ? 2 * (parameters - table) : 0) +
                 (teacher != nullptr ? kFloat * teacher->parameter_count() : 0);
  for (const Layer& layer : config.layers)
    memory.activations += tokens * LayerGraph(config.hidden_size, layer, length, bf16).bytes();
  // Of each logit the number, its logarithm and its gradient (both once more in bf16); those of a
  // teacher with what their divergence is made of.
  const int64_t logit = 3 * kFloat + (bf16 ? kFloat : 0) + (distills ? 5 * kFloat : 0);
  memory.head = std::min(options.chunk_tokens, tokens) * config.vocabulary_size * logit +
                3 * kFloat * table + 3 * kFloat * tokens * config.hidden_size;
  return memory;
}

}  // namespace frugal::train
