// Tested by: tests/layerwise/walk_test.cpp
#include "layerwise/walk/layer_weights.h"

#include <ATen/ATen.h>

#include <future>
#include <utility>

#include "base/text.h"
#include "model/rotary.h"
#include "tensor/guard.h"
#include "tensor/transfer.h"

namespace frugal::layerwise {

absl::StatusOr<StageWeights> load_matrices(const format::Checkpoint& checkpoint,
                                           std::vector<std::string> names) {
  StageWeights result;
  std::vector<at::Tensor> parts;
  for (const std::string& name : names) {
    FRUGAL_ASSIGN_OR_RETURN(at::Tensor value, tensor::load(checkpoint, name, at::kFloat, at::kCPU));
    result.row_counts.push_back(value.size(0));
    parts.push_back(std::move(value));
  }
  result.names = std::move(names);
  FRUGAL_RETURN_IF_ERROR(
      tensor::guarded("stacking weights", [&] { result.stacked = at::cat(parts); }));
  return result;
}

absl::StatusOr<StageWeights> load_stage(const format::Checkpoint& checkpoint, int64_t layer,
                                        const model::Stage& stage) {
  std::vector<std::string> names;
  for (const std::string& matrix : stage.matrices)
    names.push_back(model::weight_name(layer, matrix));
  return load_matrices(checkpoint, std::move(names));
}

void read_ahead(const format::Checkpoint& checkpoint, int64_t layer, const model::Stage& stage) {
  for (const std::string& matrix : stage.matrices)
    checkpoint.read_ahead(model::weight_name(layer, matrix));
}

struct StageReader::Loading {
  StageWeights weights;
  tensor::CopyQueue::Arrival arrival;
};
struct StageReader::Next {
  int64_t layer;
  size_t stage;
  std::future<absl::StatusOr<Loading>> loading;
};

StageReader::StageReader(const format::Checkpoint& checkpoint,
                         const std::vector<model::Stage>& stages, const at::Device& device)
    : checkpoint_(checkpoint), stages_(stages), device_(device) {
  if (!device.is_cpu()) copies_.emplace(device);
}

StageReader::~StageReader() = default;  // waits for what is on its way

absl::StatusOr<StageReader::Loading> StageReader::load(int64_t layer, size_t stage) const {
  Loading loading;
  FRUGAL_ASSIGN_OR_RETURN(loading.weights, load_stage(checkpoint_, layer, stages_.at(stage)));
  FRUGAL_RETURN_IF_ERROR(tensor::guarded("copying weights to the device", [&] {
    loading.weights.stacked = loading.weights.stacked.pin_memory();
    loading.arrival = copies_->start(loading.weights.stacked);
  }));
  return loading;
}

absl::StatusOr<StageWeights> StageReader::take(int64_t layer, size_t stage) {
  const bool last = stage + 1 == stages_.size();
  if (!copies_) {
    FRUGAL_ASSIGN_OR_RETURN(StageWeights weights, load_stage(checkpoint_, layer, stages_[stage]));
    read_ahead(checkpoint_, layer + (last ? 1 : 0), stages_[last ? 0 : stage + 1]);
    weights.here = weights.stacked;
    return weights;
  }
  const bool expected = next_ != nullptr && next_->layer == layer && next_->stage == stage;
  FRUGAL_ASSIGN_OR_RETURN(Loading loading, expected ? next_->loading.get() : load(layer, stage));
  prepare(layer + (last ? 1 : 0), last ? 0 : stage + 1);
  FRUGAL_RETURN_IF_ERROR(tensor::guarded("copying weights to the device", [&] {
    loading.weights.here = copies_->finish(std::move(loading.arrival));
  }));
  return std::move(loading.weights);
}

void StageReader::prepare(int64_t layer, size_t stage) {
  next_.reset();
  if (layer >= checkpoint_.config().layer_count) return;
  next_ = std::make_unique<Next>(layer, stage, std::async(std::launch::async, [this, layer, stage] {
                                   return load(layer, stage);
                                 }));
}

absl::StatusOr<model::LayerParameters> load_small_parameters(const format::Checkpoint& checkpoint,
                                                             int64_t layer,
                                                             const at::Device& device) {
  model::LayerParameters small;
  const std::string prefix = base::str_cat("model.layers.", layer, ".");
  for (const format::ExpectedTensor& expected : format::expected_tensors(checkpoint.config())) {
    if (!expected.name.starts_with(prefix) || expected.shape.size() != 1) continue;
    FRUGAL_ASSIGN_OR_RETURN(at::Tensor value,
                            tensor::load(checkpoint, expected.name, at::kFloat, device));
    small.emplace(expected.name.substr(prefix.size()), std::move(value));
  }
  return small;
}

model::AttentionContext window_context(const format::ModelConfig& config, int64_t length,
                                       const at::Device& device, model::Precision precision) {
  const at::Tensor positions = at::arange(length, at::device(device).dtype(at::kLong)).unsqueeze(0);
  const model::RotaryTables tables =
      model::rotary_tables(model::rotary_frequencies(config).to(device), positions);
  return {.cosine = tables.cosine,
          .sine = tables.sine,
          .mask = {},
          .rounded = precision == model::Precision::kRounded};
}

}  // namespace frugal::layerwise
