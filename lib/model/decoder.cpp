#include "model/decoder.h"

#include <ATen/ATen.h>

#include <cmath>
#include <set>
#include <utility>

#include "base/random.h"
#include "base/text.h"
#include "model/rotary.h"
#include "tensor/guard.h"
#include "tensor/transfer.h"

namespace frugal::model {
namespace {

double initializer_range(const format::ModelConfig& config) {
  if (!config.source.is_object()) return 0.02;
  const auto found = config.source.find("initializer_range");
  return found != config.source.end() && found->is_number() ? found->get<double>() : 0.02;
}

// Weights that add to the residual stream, by full name.
std::set<std::string, std::less<>> residual_writers(const format::ModelConfig& config,
                                                    const std::vector<Stage>& stages) {
  std::set<std::string, std::less<>> names;
  for (int64_t layer = 0; layer < config.layer_count; ++layer) {
    for (const Stage& stage : stages) {
      if (!stage.writes_residual) continue;
      for (const std::string& matrix : stage.matrices) names.insert(weight_name(layer, matrix));
    }
  }
  return names;
}

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

// bool [B, 1, T, T]: causal and inside a segment. Padding (-1) sees padding, so no row is empty (an
// empty one would be NaN).
at::Tensor segment_mask(const at::Tensor& segments) {
  const int64_t length = segments.size(1);
  const at::Tensor causal = at::ones({length, length}, segments.options().dtype(at::kBool)).tril();
  return (segments.unsqueeze(2).eq(segments.unsqueeze(1))).logical_and_(causal).unsqueeze(1);
}

}  // namespace

absl::StatusOr<Decoder> Decoder::assemble(const format::ModelConfig& config) {
  Decoder decoder;
  decoder.config_ = config;
  FRUGAL_ASSIGN_OR_RETURN(decoder.stages_, model::stages(config));
  FRUGAL_ASSIGN_OR_RETURN(decoder.runner_, layer_runner(config));
  return decoder;
}

absl::StatusOr<Decoder> Decoder::load(const format::Checkpoint& checkpoint,
                                      const LoadOptions& options) {
  FRUGAL_ASSIGN_OR_RETURN(Decoder decoder, assemble(checkpoint.config()));
  for (const format::ExpectedTensor& expected : format::expected_tensors(checkpoint.config())) {
    FRUGAL_ASSIGN_OR_RETURN(at::Tensor value,
                            tensor::load(checkpoint, expected.name, options.type, options.device));
    decoder.parameters_.emplace(expected.name, std::move(value));
  }
  FRUGAL_RETURN_IF_ERROR(decoder.load_integers(checkpoint, options.device));
  FRUGAL_RETURN_IF_ERROR(tensor::guarded("preparing the rotary embedding", [&] {
    decoder.frequencies_ = rotary_frequencies(checkpoint.config()).to(options.device);
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

absl::StatusOr<Decoder> Decoder::create(const format::ModelConfig& config, uint64_t seed,
                                        const at::Device& device) {
  FRUGAL_ASSIGN_OR_RETURN(Decoder decoder, assemble(config));
  const double deviation = initializer_range(config);
  const double residual_deviation =
      deviation / std::sqrt(2.0 * static_cast<double>(config.layer_count));
  const auto writers = residual_writers(config, decoder.stages_);
  FRUGAL_RETURN_IF_ERROR(tensor::guarded("creating a model", [&] {
    for (const auto& [name, shape] : format::expected_tensors(config)) {
      const at::Tensor value =
          shape.size() == 1
              ? at::ones(shape, at::kFloat)
              : random_normal(shape, writers.contains(name) ? residual_deviation : deviation, seed,
                              name);
      decoder.parameters_.emplace(name, value.to(device));
    }
    decoder.frequencies_ = rotary_frequencies(config).to(device);
  }));
  return decoder;
}

const at::Tensor& Decoder::parameter(std::string_view name) const {
  const auto found = parameters_.find(name);
  TORCH_CHECK(found != parameters_.end(), "the model has no parameter ", std::string(name));
  return found->second;
}

at::Device Decoder::device() const { return parameter(kEmbedding).device(); }
at::ScalarType Decoder::type() const { return parameter(kEmbedding).scalar_type(); }

void Decoder::set_parameter(std::string_view name, at::Tensor value) {
  const auto found = parameters_.find(name);
  TORCH_CHECK(found != parameters_.end(), "the model has no parameter ", std::string(name));
  TORCH_CHECK(found->second.sizes() == value.sizes(), "parameter ", std::string(name),
              " has shape ", found->second.sizes(), ", got ", value.sizes());
  TORCH_CHECK(integers_.empty() || integers_.find(name) == integers_.end(), "parameter ",
              std::string(name), " is multiplied as integers and cannot be replaced");
  found->second = std::move(value);
}

AttentionContext Decoder::attention_context(const Batch& batch, int64_t past_length) const {
  TORCH_CHECK(batch.ids.dim() == 2, "ids are [B, T], got ", batch.ids.sizes());
  const int64_t length = batch.ids.size(1);
  const at::Tensor positions =
      batch.positions.defined()
          ? batch.positions.to(frequencies_.device())
          : at::arange(past_length, past_length + length, frequencies_.options().dtype(at::kLong))
                .unsqueeze(0);
  const RotaryTables tables = rotary_tables(frequencies_, positions);
  AttentionContext context{
      .cosine = tables.cosine, .sine = tables.sine, .mask = {}, .rounded = rounded_attention_};
  if (batch.mask.defined()) {
    context.mask = batch.mask;
  } else if (batch.segments.defined()) {
    TORCH_CHECK(past_length == 0, "segments and a filled cache do not go together: pass a mask");
    context.mask = segment_mask(batch.segments.to(frequencies_.device()));
  }
  return context;
}

at::Tensor Decoder::embed(const at::Tensor& ids) const {
  return at::embedding(parameter(kEmbedding), ids);
}

LayerParameters Decoder::layer_parameters(int64_t layer) const {
  const std::string prefix = base::str_cat("model.layers.", layer, ".");
  LayerParameters result;
  for (auto at = parameters_.lower_bound(prefix); at != parameters_.end(); ++at) {
    if (!at->first.starts_with(prefix)) break;
    if (at->second.dim() == 1) result.emplace(at->first.substr(prefix.size()), at->second);
  }
  return result;
}

std::vector<at::Tensor> Decoder::multiply(int64_t layer, const Stage& stage,
                                          const at::Tensor& input) const {
  std::vector<at::Tensor> outputs;
  IntegerRows rounded;  // shared by the stage's matrices
  for (const std::string& matrix : stage.matrices) {
    const std::string name = weight_name(layer, matrix);
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

at::Tensor Decoder::run_layer(int64_t layer, const at::Tensor& x, const AttentionContext& context,
                              KeyValueCache* cache) const {
  const LayerParameters small = layer_parameters(layer);
  LayerState state = runner_->begin(x, small);
  for (size_t stage = 0; stage < stages_.size(); ++stage) {
    const std::vector<at::Tensor> outputs = multiply(layer, stages_[stage], state.input);
    runner_->advance(state, stage, outputs, small, context, cache, cache != nullptr ? layer : -1);
  }
  return state.residual;
}

at::Tensor Decoder::final_norm(const at::Tensor& x) const {
  return runner_->normalize(x, parameter(kFinalNorm));
}

const at::Tensor& Decoder::head_weight() const {
  return parameter(config_.tied_embeddings ? kEmbedding : kHead);
}

at::Tensor Decoder::hidden(const Batch& batch, KeyValueCache* cache) const {
  const AttentionContext context = attention_context(batch, cache != nullptr ? cache->length() : 0);
  at::Tensor x = embed(batch.ids);
  for (int64_t layer = 0; layer < config_.layer_count; ++layer)
    x = run_layer(layer, x, context, cache);
  return final_norm(x);
}

at::Tensor Decoder::logits(const Batch& batch, KeyValueCache* cache) const {
  return at::linear(hidden(batch, cache), head_weight()).to(at::kFloat);
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
  for (auto& [name, shape] : format::expected_tensors(config_)) {
    tensors.push_back({name, dtype, shape, std::nullopt});
  }
  FRUGAL_ASSIGN_OR_RETURN(format::CheckpointWriter writer,
                          format::CheckpointWriter::create(folder, config_, tensors));
  for (const format::CheckpointWriter::Tensor& declared : tensors) {
    FRUGAL_RETURN_IF_ERROR(tensor::write(writer, declared.name, parameter(declared.name)));
  }
  return writer.finish();
}

}  // namespace frugal::model
