// What attention needs besides a layer's weights: rotary tables for the batch's positions and the
// mask, made once per batch for each kind of layer (thetas and windows may differ from layer to
// layer).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "architecture/model_config.h"

namespace frugal::model {

// Sequences to run. ids [B, T] int64. Undefined positions mean 0..T-1 for every row; undefined
// segments mean one document per row (plain causal attention), else [B, T] int32 and attention
// stays inside a segment. A defined mask (bool, true where a query sees a key) takes the place of
// both rules: generation needs it for prompts of unequal length. Windows apply on top.
struct Batch {
  at::Tensor ids;
  at::Tensor positions;
  at::Tensor segments = {};
  at::Tensor mask = {};  // [B, 1, T, T_total]

  // Where the tokens stand behind `past_length` others: int64 [B or 1, T].
  at::Tensor places(int64_t past_length, const at::Device& device) const;
};

struct AttentionContext {
  at::Tensor cosine, sine;  // [B or 1, 1, T, R] fp32 for the R channels of a head that turn
  at::Tensor mask;          // undefined: plain causal; else bool [B or 1, 1, T, T_total]
  bool rounded = false;     // plain causal attention may round the factors of its products
                            // (rounded_causal_attention)
};

// One for each kind of layer.
struct AttentionContexts {
  std::vector<AttentionContext> kinds;
  std::vector<size_t> kind_of_layer;
  const AttentionContext& of(int64_t layer) const {
    return kinds[kind_of_layer.at(static_cast<size_t>(layer))];
  }
};

// The kinds of layers of a model, with their rotary frequencies on a device.
class AttentionKinds {
 public:
  AttentionKinds() = default;
  AttentionKinds(const architecture::ModelConfig& config, const at::Device& device);

  // Of queries that stand behind `past_length` tokens, in sequences that will be `planned_lengths`
  // long (int64 [B]; undefined: as long as they are now). Throws; also where tokens in the cache
  // were turned by the frequencies of a shorter sequence ("longrope").
  AttentionContexts contexts(const Batch& batch, int64_t past_length, bool rounded,
                             const at::Tensor& planned_lengths = {}) const;
  // Of windows of `length` tokens that each start at place 0.
  AttentionContexts window_contexts(int64_t length, bool rounded) const;

 private:
  struct Kind {
    architecture::Rope rope;
    int64_t head_size = 0;
    std::optional<int64_t> window;
    at::Tensor frequencies;         // fp32 [R/2]
    at::Tensor beyond_frequencies;  // of sequences longer than the first context; may be undefined
    bool operator==(const Kind& other) const {
      return rope == other.rope && head_size == other.head_size && window == other.window;
    }
  };
  // Which tokens a context is for.
  struct Places {
    at::Tensor positions, segments, mask;
    int64_t length = 0, past_length = 0;
    at::Tensor planned_lengths = {};
  };
  AttentionContexts make(const Places& places, bool rounded) const;
  static at::Tensor frequencies(const Kind& kind, const Places& places);

  at::Device device_ = at::kCPU;
  std::vector<Kind> kinds_;
  std::vector<size_t> kind_of_layer_;
};

}  // namespace frugal::model
