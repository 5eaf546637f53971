#include "layerwise/walk/layer_weights.h"

#include <future>
#include <utility>

#include "architecture/tensors.h"
#include "base/text.h"
#include "model/attention_context.h"
#include "tensor/aten.h"
#include "tensor/guard.h"
#include "tensor/transfer.h"

namespace frugal::layerwise {
namespace {

absl::StatusOr<at::Tensor> load_outside(const format::Checkpoint& checkpoint,
                                        architecture::Role role, const at::Device& device) {
  return tensor::load(checkpoint, architecture::tensor_name(checkpoint.config(), role), at::kFloat,
                      device);
}

}  // namespace

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
  FRUGAL_RETURN_IF_ERROR(tensor::guarded("stacking weights", [&] {
    result.stacked = parts.size() == 1 ? parts.front() : tensor::concatenate(parts);
  }));
  return result;
}

absl::StatusOr<StageWeights> load_stage(const format::Checkpoint& checkpoint,
                                        const architecture::Stage& stage) {
  std::vector<std::string> names;
  for (const architecture::Tensor& matrix : stage.matrices) names.push_back(matrix.name);
  return load_matrices(checkpoint, std::move(names));
}

void read_ahead(const format::Checkpoint& checkpoint, const architecture::Stage& stage) {
  for (const architecture::Tensor& matrix : stage.matrices) checkpoint.read_ahead(matrix.name);
}

struct StageReader::Loading {
  StageWeights weights;
  tensor::CopyQueue::Arrival arrival;
};
struct StageReader::Next {
  architecture::StageRef at;
  std::future<absl::StatusOr<Loading>> loading;
};

StageReader::StageReader(const format::Checkpoint& checkpoint,
                         const std::vector<std::vector<architecture::Stage>>& stages,
                         const at::Device& device)
    : checkpoint_(checkpoint), stages_(stages), device_(device) {
  if (!device.is_cpu()) copies_.emplace(device);
}

StageReader::~StageReader() = default;  // waits for what is on its way

absl::StatusOr<StageReader::Loading> StageReader::load(const architecture::StageRef& at) const {
  Loading loading;
  FRUGAL_ASSIGN_OR_RETURN(loading.weights, load_stage(checkpoint_, stage_at(at)));
  FRUGAL_RETURN_IF_ERROR(tensor::guarded("copying weights to the device", [&] {
    loading.weights.stacked = loading.weights.stacked.pin_memory();
    loading.arrival = copies_->start(loading.weights.stacked);
  }));
  return loading;
}

const architecture::Stage& StageReader::stage_at(const architecture::StageRef& at) const {
  return stages_.at(static_cast<size_t>(at.layer)).at(at.stage);
}

absl::StatusOr<StageWeights> StageReader::take(const architecture::StageRef& at) {
  const bool last = at.stage + 1 == stages_.at(static_cast<size_t>(at.layer)).size();
  architecture::StageRef next = last ? architecture::StageRef{at.layer + 1, 0}
                                     : architecture::StageRef{at.layer, at.stage + 1};
  const bool is_there = next.layer < static_cast<int64_t>(stages_.size());
  if (is_there) next.expert = stage_at(next).expert;
  if (!copies_) {
    FRUGAL_ASSIGN_OR_RETURN(StageWeights weights, load_stage(checkpoint_, stage_at(at)));
    if (is_there) read_ahead(checkpoint_, stage_at(next));
    weights.here = weights.stacked;
    return weights;
  }
  const bool expected = next_ != nullptr && next_->at == at;
  FRUGAL_ASSIGN_OR_RETURN(Loading loading, expected ? next_->loading.get() : load(at));
  next_.reset();
  if (is_there) prepare(next);
  FRUGAL_RETURN_IF_ERROR(tensor::guarded("copying weights to the device", [&] {
    loading.weights.here = copies_->finish(std::move(loading.arrival));
  }));
  return std::move(loading.weights);
}

void StageReader::prepare(const architecture::StageRef& at) {
  next_ =
      std::make_unique<Next>(at, std::async(std::launch::async, [this, at] { return load(at); }));
}

absl::StatusOr<model::LayerParameters> load_small_parameters(const format::Checkpoint& checkpoint,
                                                             int64_t layer,
                                                             const at::Device& device) {
  model::LayerParameters small;
  for (const architecture::Tensor& expected :
       architecture::layer_tensors(checkpoint.config(), layer)) {
    if (expected.is_stage_matrix()) continue;
    FRUGAL_ASSIGN_OR_RETURN(at::Tensor value,
                            tensor::load(checkpoint, expected.name, at::kFloat, device));
    small.emplace(expected.role, std::move(value));
  }
  return small;
}

absl::StatusOr<model::Embedding> load_embedding(const format::Checkpoint& checkpoint,
                                                const at::Device& device) {
  const architecture::ModelConfig& config = checkpoint.config();
  model::Embedding embedding;
  FRUGAL_ASSIGN_OR_RETURN(embedding.table,
                          load_outside(checkpoint, architecture::Role::kEmbedding, device));
  if (!config.learned_positions) return embedding;
  FRUGAL_ASSIGN_OR_RETURN(embedding.positions,
                          load_outside(checkpoint, architecture::Role::kPositions, device));
  return embedding;
}

absl::StatusOr<model::NormWeights> load_final_norm(const format::Checkpoint& checkpoint,
                                                   const at::Device& device) {
  const architecture::ModelConfig& config = checkpoint.config();
  model::NormWeights weights;
  FRUGAL_ASSIGN_OR_RETURN(weights.gain,
                          load_outside(checkpoint, architecture::Role::kFinalNorm, device));
  if (!config.final_norm.centered) return weights;
  FRUGAL_ASSIGN_OR_RETURN(weights.bias,
                          load_outside(checkpoint, architecture::Role::kFinalNormBias, device));
  return weights;
}

model::AttentionContexts window_contexts(const architecture::ModelConfig& config, int64_t length,
                                         const at::Device& device, model::Precision precision) {
  return model::AttentionKinds(config, device)
      .window_contexts(length, precision == model::Precision::kRounded);
}

}  // namespace frugal::layerwise
