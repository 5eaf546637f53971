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

#include "architecture/stages.h"
#include "base/status.h"
#include "format/checkpoint.h"
#include "model/attention_context.h"
#include "model/integer_linear.h"
#include "model/layer_runner.h"

namespace frugal::model {

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
  static absl::StatusOr<Decoder> create(const architecture::ModelConfig& config, uint64_t seed,
                                        const at::Device& device);

  const architecture::ModelConfig& config() const { return config_; }
  // Of one layer.
  const std::vector<architecture::Stage>& stages(int64_t layer) const {
    return stages_.at(static_cast<size_t>(layer));
  }
  const LayerRunner& runner() const { return *runner_; }
  at::Device device() const;
  at::ScalarType type() const;

  // Every parameter by Hugging Face name; tied heads appear once, as the embedding. Tensors are
  // shared, not copied.
  const std::map<std::string, at::Tensor, std::less<>>& parameters() const { return parameters_; }
  void set_parameter(std::string_view name,
                     at::Tensor value);  // same shape; throws for an unknown name, and for integers

  AttentionContexts attention_contexts(const Batch& batch, int64_t past_length = 0,
                                       const at::Tensor& planned_lengths = {}) const;
  // [B, T, C]; `places` as LayerRunner::embed.
  at::Tensor embed(const at::Tensor& ids, const at::Tensor& places = {}) const;
  // [B, T, C]. `routings`: the layer's is added where it has experts, for what looks at their load.
  at::Tensor run_layer(int64_t layer, const at::Tensor& x, const AttentionContexts& contexts,
                       KeyValueCache* cache = nullptr,
                       std::vector<Routing>* routings = nullptr) const;
  LayerParameters layer_parameters(int64_t layer) const;
  at::Tensor final_norm(const at::Tensor& x) const;  // [B, T, C]
  Head head() const;
  // [B, T, C] after the final norm.
  at::Tensor hidden(const Batch& batch, KeyValueCache* cache = nullptr,
                    std::vector<Routing>* routings = nullptr) const;
  at::Tensor logits_of(
      const at::Tensor& hidden) const;  // [.., C] after the final norm -> [.., V] fp32
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
  static absl::StatusOr<Decoder> assemble(const architecture::ModelConfig& config);
  const at::Tensor& parameter(std::string_view name) const;
  at::Tensor parameter_or_none(std::string_view name) const;
  absl::Status load_integers(const format::Checkpoint& checkpoint, const at::Device& device);
  // Where a stage's input meets its matrices: one output [B, T, out] each.
  std::vector<at::Tensor> multiply(const architecture::Stage& stage, const at::Tensor& input) const;

  architecture::ModelConfig config_;
  std::vector<std::vector<architecture::Stage>> stages_;  // by layer
  std::vector<std::map<architecture::Role, std::string>>
      small_;  // by layer: names of what no stage multiplies
  std::shared_ptr<const LayerRunner> runner_;
  std::string embedding_, positions_, final_norm_, final_norm_bias_, head_;  // names; may be empty
  std::map<std::string, at::Tensor, std::less<>> parameters_;
  std::map<std::string, IntegerMatrix, std::less<>>
      integers_;  // of parameters whose inputs are rounded
  Linear linear_ = nullptr;
  bool rounded_attention_ = false;
  AttentionKinds kinds_;
};

}  // namespace frugal::model
