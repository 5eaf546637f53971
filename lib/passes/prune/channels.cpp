// Tested by: tests/passes/prune_channels_test.cpp
#include "passes/prune/channels.h"

#include <ATen/ATen.h>

#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "layerwise/pruning/channels.h"
#include "layerwise/walk/onlooker.h"
#include "model/architecture.h"
#include "model/decoder.h"
#include "tensor/guard.h"
#include "tensor/transfer.h"

namespace frugal::passes {
namespace {

using layerwise::LayerStore;
using layerwise::Needs;
using layerwise::StageProblem;
using layerwise::StructureScore;
using model::StreamUse;

// Adds up what every channel is worth while the original model goes by.
class ChannelScout final : public layerwise::Onlooker {
 public:
  ChannelScout(StructureScore score, const format::ModelConfig& config, std::vector<bool> reading)
      : score_(score),
        layers_(config.layer_count),
        reading_(std::move(reading)),
        scores_(at::zeros({config.hidden_size}, at::kDouble)) {}

  Needs needs() const { return score_ == StructureScore::kObs ? Needs::kHessian : Needs::kMoments; }
  Needs needs(int64_t layer, size_t stage) const override {
    return layer < layers_ && reading_[stage] ? needs() : Needs::kNothing;
  }
  absl::StatusOr<at::Tensor> solve(const StageProblem& problem) override {
    if (reading_[problem.stage]) add(problem.weights, problem.statistics);
    return at::Tensor();
  }

  void add(const at::Tensor& weights, const layerwise::InputStatistics& statistics) {
    scores_ += score_ == StructureScore::kActivation
                   ? statistics.mean_absolute
                   : layerwise::channel_costs(weights, statistics.hessian);
  }
  const at::Tensor& scores() const { return scores_; }

 private:
  StructureScore score_;
  int64_t layers_;
  std::vector<bool> reading_;  // by stage
  at::Tensor scores_;
};

// The dimension that a weight's channels are, from the end.
int64_t dimension(StreamUse use) { return use == StreamUse::kWrites ? 0 : -1; }

absl::StatusOr<at::Tensor> magnitudes(const format::Checkpoint& input,
                                      const model::StreamUses& uses) {
  at::Tensor sums = at::zeros({input.config().hidden_size}, at::kDouble);
  for (const auto& [name, use] : uses) {
    if (use == StreamUse::kGains) continue;
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor weights,
                            tensor::load(input, name, at::kFloat, at::kCPU));
    sums +=
        weights.square().sum({use == StreamUse::kWrites ? 1 : 0}, /*keepdim=*/false, at::kDouble);
  }
  return sums;
}

// What the scout sees behind the last layer.
absl::Status add_head(const format::Checkpoint& input, layerwise::StatisticsSum& sum,
                      ChannelScout& scout) {
  const bool tied = input.config().tied_embeddings;
  FRUGAL_ASSIGN_OR_RETURN(
      const at::Tensor weights,
      tensor::load(input, tied ? model::kEmbedding : model::kHead, at::kFloat, at::kCPU));
  return tensor::guarded("the head", [&]() -> absl::Status {
    FRUGAL_ASSIGN_OR_RETURN(const layerwise::InputStatistics statistics, sum.take("the head"));
    scout.add(weights, statistics);
    return absl::OkStatus();
  });
}

absl::StatusOr<at::Tensor> scouted(const format::Checkpoint& input, const text::Windows& windows,
                                   const layerwise::WalkOptions& walk, StructureScore score,
                                   const model::StreamUses& uses) {
  const format::ModelConfig& config = input.config();
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<model::Stage> stages, model::stages(config));
  FRUGAL_ASSIGN_OR_RETURN(const auto runner, model::layer_runner(config));
  FRUGAL_ASSIGN_OR_RETURN(const at::Tensor gains,
                          tensor::load(input, model::kFinalNorm, at::kFloat, walk.device));
  std::vector<bool> reading;
  for (const model::Stage& stage : stages)
    reading.push_back(uses.at(model::weight_name(0, stage.matrices.front())) == StreamUse::kReads);
  ChannelScout scout(score, config, std::move(reading));
  layerwise::StatisticsSum behind(scout.needs());
  layerwise::WalkOptions watched = walk;
  watched.observe = [&](int64_t layer, const std::vector<at::Tensor>& /*before*/,
                        const std::vector<at::Tensor>& after) {
    if (layer + 1 < config.layer_count) return;
    for (const at::Tensor& residual : after) {
      const at::Tensor x = runner->normalize(residual, gains).reshape({-1, config.hidden_size});
      std::optional<model::TokenFactor> factor;
      if (scout.needs() == Needs::kHessian) factor.emplace(x, walk.precision);
      behind.add(x, factor ? &*factor : nullptr);
    }
  };
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(input, windows, watched, scout));
  FRUGAL_RETURN_IF_ERROR(add_head(input, behind, scout));
  return scout.scores();
}

// A stored matrix of the narrow model, or undefined.
absl::StatusOr<at::Tensor> stored(const LayerStore* store, int64_t layer, const std::string& name,
                                  const std::vector<int64_t>& shape) {
  if (store == nullptr) return at::Tensor();
  FRUGAL_ASSIGN_OR_RETURN(const std::optional<LayerStore::Layer> found, store->read(layer));
  if (!found || !found->has(name)) return at::Tensor();
  FRUGAL_ASSIGN_OR_RETURN(const auto bytes, found->bytes(name, format::DType::kF32, shape));
  at::Tensor value = at::empty(shape, at::kFloat);
  std::memcpy(value.data_ptr<float>(), bytes.data(), bytes.size());
  return value;
}

// The layer of a weight; that of the head behind the last one.
int64_t layer_of(const std::string& name, const format::ModelConfig& config) {
  constexpr std::string_view kPrefix = "model.layers.";
  return name.starts_with(kPrefix) ? std::stoll(name.substr(kPrefix.size())) : config.layer_count;
}

absl::StatusOr<at::Tensor> narrowed(const format::Checkpoint& input,
                                    const format::ExpectedTensor& expected, StreamUse use,
                                    const std::vector<int64_t>& kept, const LayerStore* store) {
  FRUGAL_ASSIGN_OR_RETURN(at::Tensor value, stored(store, layer_of(expected.name, input.config()),
                                                   expected.name, expected.shape));
  if (value.defined()) return value;
  FRUGAL_ASSIGN_OR_RETURN(value, tensor::load(input, expected.name, at::kFloat, at::kCPU));
  return tensor::guarded(expected.name, [&] {
    const at::Tensor part = value.index_select(dimension(use), at::tensor(kept, at::kLong));
    if (use != StreamUse::kGains) return part;
    const auto channels = static_cast<int64_t>(kept.size());
    return part * layerwise::gain_factor(input.config().hidden_size, channels);
  });
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> choose_channels(const format::Checkpoint& input,
                                                     const text::Windows& windows,
                                                     const layerwise::WalkOptions& walk,
                                                     const ChannelChoice& choice) {
  FRUGAL_ASSIGN_OR_RETURN(const model::StreamUses uses, model::stream_uses(input.config()));
  FRUGAL_ASSIGN_OR_RETURN(const at::Tensor scores,
                          choice.score == StructureScore::kMagnitude
                              ? magnitudes(input, uses)
                              : scouted(input, windows, walk, choice.score, uses));
  return tensor::guarded("choosing channels", [&] {
    return layerwise::choose_structures({.target = at::empty({0, input.config().hidden_size}),
                                         .mean_absolute = {},
                                         .magnitude = scores,
                                         .factor = nullptr},
                                        StructureScore::kMagnitude, choice.keep);
  });
}

absl::Status write_without_channels(const format::Checkpoint& input,
                                    const std::vector<int64_t>& kept, const LayerStore* store,
                                    const std::filesystem::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(const model::StreamUses uses, model::stream_uses(input.config()));
  const format::ModelConfig config =
      layerwise::with_channels(input.config(), static_cast<int64_t>(kept.size()));
  const std::vector<format::ExpectedTensor> expected = format::expected_tensors(config);
  std::vector<format::CheckpointWriter::Tensor> tensors;
  for (const format::ExpectedTensor& tensor : expected) {
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(tensor.name));
    const auto use = uses.find(tensor.name);
    const bool gains = use != uses.end() && use->second == StreamUse::kGains;
    tensors.push_back({tensor.name, gains ? format::DType::kF32 : info.dtype, tensor.shape});
  }
  FRUGAL_ASSIGN_OR_RETURN(format::CheckpointWriter writer,
                          format::CheckpointWriter::create(folder, config, tensors));
  for (const format::ExpectedTensor& tensor : expected) {
    const auto use = uses.find(tensor.name);
    if (use == uses.end()) {
      FRUGAL_ASSIGN_OR_RETURN(const auto bytes, input.bytes(tensor.name));
      FRUGAL_RETURN_IF_ERROR(writer.write(tensor.name, bytes));
      continue;
    }
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor value,
                            narrowed(input, tensor, use->second, kept, store));
    FRUGAL_RETURN_IF_ERROR(tensor::write(writer, tensor.name, value));
  }
  FRUGAL_RETURN_IF_ERROR(writer.copy_side_files(input));
  return writer.finish();
}

}  // namespace frugal::passes
