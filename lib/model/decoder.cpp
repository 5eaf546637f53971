#include "model/decoder.h"

#include <cmath>
#include <utility>

#include "architecture/tensors.h"
#include "base/random.h"
#include "base/text.h"
#include "tensor/aten.h"
#include "tensor/guard.h"
#include "tensor/transfer.h"

namespace frugal::model {
namespace {

using architecture::Role;

// A stream per tensor: its values do not depend on which other tensors there are.
at::Tensor random_normal(at::IntArrayRef shape, double deviation, uint64_t seed,
                         std::string_view name) {
  base::RandomStream stream(seed, base::str_cat("model/init/", name));
  at::Tensor values = at::empty(shape, at::kFloat);
  float* data = values.mutable_data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i)
    data[i] = static_cast<float>(deviation * stream.normal());
  return values;
}

// Gains of one, biases of zero, matrices normal; those that write the residual stream smaller, by
// GPT-2's rule.
at::Tensor fresh_values(const architecture::ModelConfig& config, const architecture::Tensor& tensor,
                        uint64_t seed) {
  if (architecture::is_norm(tensor.role)) {
    const double offset = architecture::stored_offset(config, tensor.role, tensor.layer);
    return at::full(tensor.shape, 1.0 - offset, at::kFloat);
  }
  if (!tensor.is_matrix()) return at::zeros(tensor.shape, at::kFloat);
  const bool writes = tensor.role == Role::kAttentionOutput || tensor.role == Role::kDown;
  const double layers = static_cast<double>(config.layer_count());
  const double deviation = config.initializer_range / (writes ? std::sqrt(2.0 * layers) : 1.0);
  return random_normal(tensor.shape, deviation, seed, tensor.name);
}

}  // namespace

absl::StatusOr<Decoder> Decoder::assemble(const architecture::ModelConfig& config) {
  Decoder decoder;
  decoder.config_ = config;
  for (int64_t layer = 0; layer < config.layer_count(); ++layer) {
    decoder.stages_.push_back(architecture::stages(config, layer));
    decoder.small_.emplace_back();
    for (const architecture::Tensor& tensor : architecture::layer_tensors(config, layer)) {
      if (!tensor.is_stage_matrix()) decoder.small_.back().emplace(tensor.role, tensor.name);
    }
  }
  decoder.runner_ = std::make_shared<const LayerRunner>(config);
  decoder.embedding_ = architecture::tensor_name(config, Role::kEmbedding);
  if (config.learned_positions)
    decoder.positions_ = architecture::tensor_name(config, Role::kPositions);
  decoder.final_norm_ = architecture::tensor_name(config, Role::kFinalNorm);
  if (config.final_norm.centered)
    decoder.final_norm_bias_ = architecture::tensor_name(config, Role::kFinalNormBias);
  decoder.head_ = architecture::head_name(config);
  return decoder;
}

absl::StatusOr<Decoder> Decoder::load(const format::Checkpoint& checkpoint,
                                      const LoadOptions& options) {
  FRUGAL_ASSIGN_OR_RETURN(Decoder decoder, assemble(checkpoint.config()));
  for (const architecture::Tensor& expected : architecture::tensors(checkpoint.config())) {
    FRUGAL_ASSIGN_OR_RETURN(at::Tensor value,
                            tensor::load(checkpoint, expected.name, options.type, options.device));
    decoder.parameters_.emplace(expected.name, std::move(value));
  }
  FRUGAL_RETURN_IF_ERROR(decoder.load_integers(checkpoint, options.device));
  FRUGAL_RETURN_IF_ERROR(tensor::guarded("preparing the rotary embedding", [&] {
    decoder.kinds_ = AttentionKinds(checkpoint.config(), options.device);
  }));
  return decoder;
}

absl::Status Decoder::load_integers(const format::Checkpoint& checkpoint,
                                    const at::Device& device) {
  for (const auto& [name, entry] : checkpoint.quantized()) {
    if (entry.activations == format::Activations::kFloat) continue;
    FRUGAL_ASSIGN_OR_RETURN(const grid::QuantizedMatrix codes, checkpoint.codes(name));
    FRUGAL_ASSIGN_OR_RETURN(const IntegerMatrix matrix, integer_matrix(codes));
    FRUGAL_RETURN_IF_ERROR(tensor::guarded(name, [&, &weight = name] {
      integers_[weight] = {matrix.codes.to(device), matrix.scales.to(device)};
    }));
  }
  return absl::OkStatus();
}

absl::StatusOr<Decoder> Decoder::create(const architecture::ModelConfig& config, uint64_t seed,
                                        const at::Device& device) {
  FRUGAL_ASSIGN_OR_RETURN(Decoder decoder, assemble(config));
  FRUGAL_RETURN_IF_ERROR(tensor::guarded("creating a model", [&] {
    for (const architecture::Tensor& tensor : architecture::tensors(config))
      decoder.parameters_.emplace(tensor.name, fresh_values(config, tensor, seed).to(device));
    decoder.kinds_ = AttentionKinds(config, device);
  }));
  return decoder;
}

const at::Tensor& Decoder::parameter(std::string_view name) const {
  const auto found = parameters_.find(name);
  TORCH_CHECK(found != parameters_.end(), "the model has no parameter ", std::string(name));
  return found->second;
}

at::Tensor Decoder::parameter_or_none(std::string_view name) const {
  return name.empty() ? at::Tensor() : parameter(name);
}

at::Device Decoder::device() const { return parameter(embedding_).device(); }
at::ScalarType Decoder::type() const { return parameter(embedding_).scalar_type(); }

void Decoder::set_parameter(std::string_view name, at::Tensor value) {
  const auto found = parameters_.find(name);
  TORCH_CHECK(found != parameters_.end(), "the model has no parameter ", std::string(name));
  TORCH_CHECK(found->second.sizes() == value.sizes(), "parameter ", std::string(name),
              " has shape ", found->second.sizes(), ", got ", value.sizes());
  TORCH_CHECK(integers_.empty() || integers_.find(name) == integers_.end(), "parameter ",
              std::string(name), " is multiplied as integers and cannot be replaced");
  found->second = std::move(value);
}

AttentionContexts Decoder::attention_contexts(const Batch& batch, int64_t past_length,
                                              const at::Tensor& planned_lengths) const {
  return kinds_.contexts(batch, past_length, rounded_attention_, planned_lengths);
}

at::Tensor Decoder::embed(const at::Tensor& ids, const at::Tensor& places) const {
  return runner_->embed({parameter(embedding_), parameter_or_none(positions_)}, ids, places);
}

LayerParameters Decoder::layer_parameters(int64_t layer) const {
  LayerParameters result;
  for (const auto& [role, name] : small_.at(static_cast<size_t>(layer)))
    result.emplace(role, parameter(name));
  return result;
}

std::vector<at::Tensor> Decoder::multiply(const architecture::Stage& stage,
                                          const at::Tensor& input) const {
  std::vector<at::Tensor> outputs;
  IntegerRows rounded;  // shared by the stage's matrices
  for (const architecture::Tensor& matrix : stage.matrices) {
    const std::string& name = matrix.name;
    const auto integers = integers_.find(name);
    if (integers == integers_.end()) {
      outputs.push_back(linear_ == nullptr ? at::linear(input, parameter(name))
                                           : linear_(input, parameter(name)));
      continue;
    }
    if (!rounded.codes.defined()) rounded = round_rows(input);
    outputs.push_back(integer_linear(rounded, integers->second).to(input.scalar_type()));
  }
  return outputs;
}

at::Tensor Decoder::run_layer(int64_t layer, const at::Tensor& x, const AttentionContexts& contexts,
                              KeyValueCache* cache, std::vector<Routing>* routings) const {
  const LayerParameters small = layer_parameters(layer);
  const std::vector<architecture::Stage>& layer_stages = stages(layer);
  LayerState state = runner_->begin(layer, x, small);
  for (size_t stage = 0; stage < layer_stages.size(); ++stage) {
    const std::vector<at::Tensor> outputs = multiply(layer_stages[stage], state.input.rows);
    runner_->advance(state, {layer, stage}, outputs, small, contexts, cache);
  }
  if (routings != nullptr && state.routing.is_there())
    routings->push_back(std::move(state.routing));
  return state.residual;
}

at::Tensor Decoder::final_norm(const at::Tensor& x) const {
  return runner_->final_norm(x, {parameter(final_norm_), parameter_or_none(final_norm_bias_)});
}

Head Decoder::head() const { return {parameter(head_), config_.logit_rule}; }

at::Tensor Decoder::hidden(const Batch& batch, KeyValueCache* cache,
                           std::vector<Routing>* routings) const {
  const int64_t past_length = cache == nullptr ? 0 : cache->length();
  const AttentionContexts contexts = attention_contexts(
      batch, past_length, cache == nullptr ? at::Tensor() : cache->planned_lengths);
  at::Tensor x = embed(batch.ids, batch.places(past_length, device()));
  for (int64_t layer = 0; layer < config_.layer_count(); ++layer)
    x = run_layer(layer, x, contexts, cache, routings);
  return final_norm(x);
}

at::Tensor Decoder::logits_of(const at::Tensor& hidden) const {
  return head_logits(hidden, head());
}

at::Tensor Decoder::logits(const Batch& batch, KeyValueCache* cache) const {
  return logits_of(hidden(batch, cache));
}

Decoder Decoder::clone() const {
  Decoder copy = *this;
  for (auto& [name, value] : copy.parameters_) value = value.detach().clone();
  return copy;
}

absl::Status Decoder::save(const std::filesystem::path& folder, format::DType dtype) const {
  if (!integers_.empty()) {
    return base::failed("cannot save the model in ", format::name(dtype),
                        ": it rounds the inputs of ", integers_.size(),
                        " matrices, which only their codes can say");
  }
  std::vector<format::CheckpointWriter::Tensor> tensors;
  for (const architecture::Tensor& tensor : architecture::tensors(config_))
    tensors.push_back({tensor.name, dtype, tensor.shape, std::nullopt});
  FRUGAL_ASSIGN_OR_RETURN(format::CheckpointWriter writer,
                          format::CheckpointWriter::create(folder, config_, tensors));
  for (const format::CheckpointWriter::Tensor& declared : tensors) {
    FRUGAL_RETURN_IF_ERROR(tensor::write(writer, declared.name, parameter(declared.name)));
  }
  return writer.finish();
}

}  // namespace frugal::model
