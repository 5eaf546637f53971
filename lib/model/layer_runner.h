// The forward of a decoder, composed of blocks by its description: embedding, layers stage by
// stage, final norm, logits. One runner serves inference, training (autograd), the layer walk,
// gradients and losses.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "architecture/model_config.h"
#include "architecture/roles.h"
#include "architecture/stages.h"
#include "model/attention_context.h"
#include "model/routing.h"
#include "model/stage_input.h"

namespace frugal::model {

// Keys and values of the tokens seen so far, per layer [B, K, T_past, D]; grown by forward. The
// tensors are views of buffers that double when full, so a token costs no copy of the past.
class KeyValueCache {
 public:
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  // int64 [B], how long the sequences will be; undefined: unknown (AttentionKinds::contexts).
  at::Tensor planned_lengths = {};
  int64_t length() const;  // T_past

  // Appends key and value [B, K, T, D] to `layer` and returns all of that layer.
  std::pair<at::Tensor, at::Tensor> append(int64_t layer, const at::Tensor& key,
                                           const at::Tensor& value);
  // Keeps only these rows of the batch, int64 [B'].
  void select_rows(const at::Tensor& rows);

 private:
  std::vector<at::Tensor> key_buffers_, value_buffers_;
};

// A layer in the middle of its forward.
struct LayerState {
  at::Tensor residual;   // [B, T, C], updated behind attention and feed-forward
  StageInput input;      // of the stage that comes next
  Routing routing = {};  // from the router of a mixture of experts on
};

// Parameters of one layer that no stage multiplies: gains of norms, biases, the router.
using LayerParameters = std::map<architecture::Role, at::Tensor>;

// What the first layer's input is made of.
struct Embedding {
  at::Tensor table;           // [V, C]
  at::Tensor positions = {};  // [context, C] where they are learned
};
struct NormWeights {
  at::Tensor gain;       // [C], as it is stored
  at::Tensor bias = {};  // [C] of a norm that takes the mean away
};

// One layer's staged execution: state = begin(layer, x); for each stage: outputs[m] =
// state.input.rows · W_mᵀ; advance(state, stage, outputs). After the last stage `residual` is the
// layer's output. Differentiable; throws. Virtual for tests of solvers alone, which take a layer of
// one matrix.
class LayerRunner {
 public:
  virtual ~LayerRunner() = default;
  explicit LayerRunner(architecture::ModelConfig config) : config_(std::move(config)) {}

  // Rows of the table times the embedding's scale, and those of the places [B or 1, T] (undefined:
  // 0..T-1) where the model has learned positions: [B, T, C]. Throws for a place beyond them.
  at::Tensor embed(const Embedding& embedding, const at::Tensor& ids,
                   const at::Tensor& places = {}) const;
  virtual LayerState begin(int64_t layer, const at::Tensor& x,
                           const LayerParameters& parameters) const;
  // `outputs`: one tensor [.., out] per matrix of the stage, of the rows it got, without its bias.
  // `cache`: extend it by this layer.
  virtual void advance(LayerState& state, const architecture::StageRef& at,
                       const std::vector<at::Tensor>& outputs, const LayerParameters& parameters,
                       const AttentionContexts& contexts, KeyValueCache* cache = nullptr) const;
  // The norm behind the last layer, by its stored weights.
  at::Tensor final_norm(const at::Tensor& x, const NormWeights& weights) const;
  // Without any gain: x / sqrt(mean(x²) + epsilon), with the epsilon of the final norm.
  at::Tensor normalize(const at::Tensor& x) const;

  const architecture::ModelConfig& config() const { return config_; }

 private:
  void advance_expert(LayerState& state, const architecture::StageRef& at,
                      const architecture::Layer& layer, const std::vector<at::Tensor>& outputs,
                      const LayerParameters& parameters) const;
  at::Tensor attend(const architecture::Attention& attention, std::vector<at::Tensor> outputs,
                    const LayerParameters& parameters, const AttentionContext& context,
                    int64_t layer, KeyValueCache* cache) const;

  architecture::ModelConfig config_;
};

// What makes logits of hidden states behind the final norm.
struct Head {
  at::Tensor weight;  // [V, C]; the embedding where tied
  architecture::LogitRule rule = {};
};
// Of hidden states [.., C] of the weight's type: [.., V] fp32.
at::Tensor head_logits(const at::Tensor& hidden, const Head& head);
// The rule alone, on products of hidden states and weights: fp32 logits.
at::Tensor ruled_logits(const at::Tensor& products, const architecture::LogitRule& rule);
// `gradient` by the logits becomes the gradient by the products they were made of.
at::Tensor gradient_by_products(const at::Tensor& gradient, const at::Tensor& logits,
                                const architecture::LogitRule& rule);

}  // namespace frugal::model
