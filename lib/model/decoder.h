// A decoder with its weights in memory: whole forward, staged forward, cache.
//
// Functions here throw (LibTorch) unless they return a Status; callers cross with tensor::guarded.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "format/checkpoint.h"
#include "format/model_config.h"
#include "model/architecture.h"
#include "model/integer_linear.h"

namespace frugal::model {

// Sequences to run. ids [B, T] int64. Undefined positions mean 0..T-1 for every row; undefined
// segments mean one document per row (plain causal attention), else [B, T] int32 and attention
// stays inside a segment. A defined mask (bool, true where a query sees a key) takes the place of
// both rules: generation needs it for prompts of unequal length.
struct Batch {
  at::Tensor ids;
  at::Tensor positions;
  at::Tensor segments = {};
  at::Tensor mask = {};  // [B, 1, T, T_total]
};

// Keys and values of the tokens seen so far, per layer [B, K, T_past, D]; grown by forward. The
// tensors are views of buffers that double when full, so a token costs no copy of the past.
class KeyValueCache {
 public:
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  int64_t length() const;  // T_past

  // Appends key and value [B, K, T, D] to `layer` and returns all of that layer.
  std::pair<at::Tensor, at::Tensor> append(int64_t layer, const at::Tensor& key,
                                           const at::Tensor& value);
  // Keeps only these rows of the batch, int64 [B'].
  void select_rows(const at::Tensor& rows);

 private:
  std::vector<at::Tensor> key_buffers_, value_buffers_;
};

// What attention needs besides the layer's weights: rotary tables for the batch's positions and the
// mask. Made once per batch and shared by all layers.
struct AttentionContext {
  at::Tensor cosine, sine;  // [B or 1, 1, T, D] fp32
  at::Tensor mask;          // undefined: plain causal; else bool [B, 1, T, T_total]
  bool rounded = false;     // plain causal attention may round the factors of its products
                            // (rounded_causal_attention)
};

// A layer in the middle of its forward (see Layer).
struct LayerState {
  at::Tensor residual;  // [B, T, C], updated by stages that write it
  at::Tensor input;     // [B, T, in] of the stage that comes next
};

// Small parameters of one layer that no stage multiplies (norm weights), by name below the layer.
using LayerParameters = std::map<std::string, at::Tensor, std::less<>>;

// One layer's staged execution: state = begin(x); for each stage: outputs[m] = state.input · W_mᵀ;
// advance(state, stage, outputs). After the last stage `residual` is the layer's output.
// Differentiable.
class LayerRunner {
 public:
  virtual ~LayerRunner() = default;
  virtual LayerState begin(const at::Tensor& x, const LayerParameters& parameters) const = 0;
  // `outputs`: one tensor [B, T, out] per matrix of the stage. `cache_layer` >= 0: extend that
  // layer of `cache`.
  virtual void advance(LayerState& state, size_t stage, const std::vector<at::Tensor>& outputs,
                       const LayerParameters& parameters, const AttentionContext& context,
                       KeyValueCache* cache = nullptr, int64_t cache_layer = -1) const = 0;
  // The architecture's norm of x [.., C] by weight [C]; also that behind the last layer.
  virtual at::Tensor normalize(const at::Tensor& x, const at::Tensor& weight) const = 0;
};

// The runner of `config`'s architecture. Errors: unknown architecture.
absl::StatusOr<std::shared_ptr<const LayerRunner>> layer_runner(const format::ModelConfig& config);

struct LoadOptions {
  at::ScalarType type = at::kFloat;  // kFloat or kBFloat16; on the CPU never fp16: slow there
  at::Device device = at::kCPU;
};

class Decoder {
 public:
  // All weights of a checkpoint; quantized ones decoded. Matrices whose inputs a checkpoint rounds
  // to int8 are multiplied as integers (integer_linear.h) in every forward. Errors as tensor::load.
  static absl::StatusOr<Decoder> load(const format::Checkpoint& checkpoint,
                                      const LoadOptions& options);
  // Freshly initialized (normal, std initializer_range or 0.02; residual writers scaled by
  // 1/sqrt(2L)), fp32.
  static absl::StatusOr<Decoder> create(const format::ModelConfig& config, uint64_t seed,
                                        const at::Device& device);

  const format::ModelConfig& config() const { return config_; }
  const std::vector<Stage>& stages() const { return stages_; }
  const LayerRunner& runner() const { return *runner_; }
  at::Device device() const;
  at::ScalarType type() const;

  // Every parameter by Hugging Face name; tied heads appear once, as the embedding. Tensors are
  // shared, not copied.
  const std::map<std::string, at::Tensor, std::less<>>& parameters() const { return parameters_; }
  void set_parameter(std::string_view name,
                     at::Tensor value);  // same shape; throws for an unknown name, and for integers

  AttentionContext attention_context(const Batch& batch, int64_t past_length = 0) const;
  at::Tensor embed(const at::Tensor& ids) const;  // [B, T, C]
  at::Tensor run_layer(int64_t layer, const at::Tensor& x, const AttentionContext& context,
                       KeyValueCache* cache = nullptr) const;  // [B, T, C]
  LayerParameters layer_parameters(int64_t layer) const;
  at::Tensor final_norm(const at::Tensor& x) const;  // [B, T, C]
  const at::Tensor& head_weight() const;             // [V, C]; the embedding where tied
  at::Tensor hidden(const Batch& batch,
                    KeyValueCache* cache = nullptr) const;  // [B, T, C] after the final norm
  at::Tensor logits(const Batch& batch, KeyValueCache* cache = nullptr) const;  // [B, T, V] fp32

  // What multiplies an input [.., in] by a matrix [out, in] in the layers' forwards; at::linear
  // where nothing else is set. Matrices with rounded inputs and the head are not asked.
  using Linear = at::Tensor (*)(const at::Tensor& x, const at::Tensor& weight);
  void set_linear(Linear linear) { linear_ = linear; }
  // Whether plain causal attention may round the factors of its products; not so where nothing else
  // is set.
  void set_rounded_attention(bool rounded) { rounded_attention_ = rounded; }

  // A decoder with tensors of its own: training it leaves this one as it is.
  Decoder clone() const;

  // Writes all parameters in `dtype` into `folder`, with config.json; side files are the caller's.
  // Errors: a model that rounds activations, which float weights cannot tell.
  absl::Status save(const std::filesystem::path& folder, format::DType dtype) const;

 private:
  static absl::StatusOr<Decoder> assemble(const format::ModelConfig& config);
  const at::Tensor& parameter(std::string_view name) const;
  absl::Status load_integers(const format::Checkpoint& checkpoint, const at::Device& device);
  // Where a stage's input meets its matrices: one output [B, T, out] each.
  std::vector<at::Tensor> multiply(int64_t layer, const Stage& stage,
                                   const at::Tensor& input) const;

  format::ModelConfig config_;
  std::vector<Stage> stages_;
  std::shared_ptr<const LayerRunner> runner_;
  std::map<std::string, at::Tensor, std::less<>> parameters_;
  std::map<std::string, IntegerMatrix, std::less<>>
      integers_;  // of parameters whose inputs are rounded
  Linear linear_ = nullptr;
  bool rounded_attention_ = false;
  at::Tensor frequencies_;  // rotary, fp32 [D/2]
};

}  // namespace frugal::model
