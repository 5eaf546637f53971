// Tested by: tests/passes/prune_channels_test.cpp
#include "passes/prune/channels.h"

#include <optional>
#include <string>
#include <utility>

#include "architecture/stages.h"
#include "layerwise/pruning/channels.h"
#include "layerwise/walk/layer_weights.h"
#include "layerwise/walk/passive_solver.h"
#include "model/decoder.h"
#include "tensor/aten.h"
#include "tensor/guard.h"
#include "tensor/transfer.h"

namespace frugal::passes {
namespace {

using architecture::StreamUse;
using layerwise::LayerStore;
using layerwise::Needs;
using layerwise::StageProblem;
using layerwise::StructureScore;

// Adds up what every channel is worth while the original model goes by.
class ChannelScorer final : public layerwise::PassiveSolver {
 public:
  ChannelScorer(StructureScore score, const architecture::ModelConfig& config,
                std::vector<bool> reading)
      : score_(score),
        layers_(config.layer_count()),
        reading_(std::move(reading)),
        scores_(at::zeros({config.hidden_size}, at::kDouble)) {}

  Needs needs() const { return score_ == StructureScore::kObs ? Needs::kHessian : Needs::kMoments; }
  Needs needs(const architecture::StageRef& at) const override {
    return at.layer < layers_ && reading_[at.stage] ? needs() : Needs::kNothing;
  }
  absl::StatusOr<at::Tensor> solve(const StageProblem& problem) override {
    if (reading_[problem.at.stage]) add(problem.weights, problem.statistics);
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

bool has_use(const architecture::StreamUses& uses, const std::string& name, StreamUse use) {
  const auto found = uses.find(name);
  return found != uses.end() && found->second == use;
}

// The dimension that a weight's channels are, from the end.
int64_t dimension(StreamUse use) { return use == StreamUse::kWrites ? 0 : -1; }

absl::StatusOr<at::Tensor> magnitudes(const format::Checkpoint& input,
                                      const architecture::StreamUses& uses) {
  at::Tensor sums = at::zeros({input.config().hidden_size}, at::kDouble);
  for (const auto& [name, use] : uses) {
    if (use == StreamUse::kGains || use == StreamUse::kOffsets) continue;
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor weights,
                            tensor::load(input, name, at::kFloat, at::kCPU));
    sums +=
        weights.square().sum({use == StreamUse::kWrites ? 1 : 0}, /*keepdim=*/false, at::kDouble);
  }
  return sums;
}

// What the scorer sees behind the last layer.
absl::Status add_head(const format::Checkpoint& input, layerwise::StatisticsSum& sum,
                      ChannelScorer& scorer) {
  FRUGAL_ASSIGN_OR_RETURN(
      const at::Tensor weights,
      tensor::load(input, architecture::head_name(input.config()), at::kFloat, at::kCPU));
  return tensor::guarded("the head", [&]() -> absl::Status {
    FRUGAL_ASSIGN_OR_RETURN(const layerwise::InputStatistics statistics, sum.take("the head"));
    scorer.add(weights, statistics);
    return absl::OkStatus();
  });
}

absl::StatusOr<at::Tensor> measured_scores(const format::Checkpoint& input,
                                           const text::Windows& windows,
                                           const layerwise::WalkOptions& walk, StructureScore score,
                                           const architecture::StreamUses& uses) {
  const architecture::ModelConfig& config = input.config();
  const model::LayerRunner runner(config);
  FRUGAL_ASSIGN_OR_RETURN(const model::NormWeights gains,
                          layerwise::load_final_norm(input, walk.device));
  std::vector<bool> reading;
  for (const architecture::Stage& stage : architecture::stages(config, 0))
    reading.push_back(has_use(uses, stage.matrices.front().name, StreamUse::kReads));
  ChannelScorer scorer(score, config, std::move(reading));
  layerwise::StatisticsSum behind(scorer.needs());
  layerwise::WalkOptions watched = walk;
  watched.observe = [&](int64_t layer, const std::vector<at::Tensor>& /*before*/,
                        const std::vector<at::Tensor>& after) {
    if (layer + 1 < config.layer_count()) return;
    for (const at::Tensor& residual : after) {
      const at::Tensor x = runner.final_norm(residual, gains).reshape({-1, config.hidden_size});
      std::optional<model::TokenFactor> factor;
      if (scorer.needs() == Needs::kHessian) factor.emplace(x, walk.precision);
      behind.add(x, factor ? &*factor : nullptr);
    }
  };
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(input, windows, watched, scorer));
  FRUGAL_RETURN_IF_ERROR(add_head(input, behind, scorer));
  return scorer.scores();
}

// A stored matrix of the narrow model, or undefined.
absl::StatusOr<at::Tensor> stored(const LayerStore* store, int64_t layer, const std::string& name,
                                  const std::vector<int64_t>& shape) {
  if (store == nullptr) return at::Tensor();
  FRUGAL_ASSIGN_OR_RETURN(const std::optional<LayerStore::Layer> found, store->read(layer));
  if (!found || !found->has(name)) return at::Tensor();
  return found->tensor(name, shape);
}

absl::StatusOr<at::Tensor> narrowed(const format::Checkpoint& input,
                                    const architecture::Tensor& expected, StreamUse use,
                                    const std::vector<int64_t>& kept, const LayerStore* store) {
  const architecture::ModelConfig& config = input.config();
  const int64_t layer = expected.in_layer() ? expected.layer : config.layer_count();  // the head's
  FRUGAL_ASSIGN_OR_RETURN(at::Tensor value, stored(store, layer, expected.name, expected.shape));
  if (value.defined()) return value;
  FRUGAL_ASSIGN_OR_RETURN(value, tensor::load(input, expected.name, at::kFloat, at::kCPU));
  return tensor::guarded(expected.name, [&] {
    const at::Tensor part = value.index_select(dimension(use), at::tensor(kept, at::kLong));
    // √C, where it scales the embedding, shrinks with C: the stored embedding makes up for it, and
    // the final norm where that embedding is the head, too.
    const auto channels = static_cast<int64_t>(kept.size());
    const double scale =
        config.embedding_scale / layerwise::with_channels(config, channels).embedding_scale;
    if (expected.role == architecture::Role::kEmbedding) return scale == 1.0 ? part : part * scale;
    if (use != StreamUse::kGains) return part;
    double factor = layerwise::gain_factor(config.hidden_size, channels);
    if (expected.role == architecture::Role::kFinalNorm && config.tied_embeddings) factor /= scale;
    const double offset = architecture::stored_offset(config, expected.role, expected.layer);
    return offset == 0 ? part * factor : (part + offset) * factor - offset;
  });
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> choose_channels(const format::Checkpoint& input,
                                                     const text::Windows& windows,
                                                     const layerwise::WalkOptions& walk,
                                                     const ChannelChoice& choice) {
  const architecture::StreamUses uses = architecture::stream_uses(input.config());
  FRUGAL_ASSIGN_OR_RETURN(const at::Tensor scores,
                          choice.score == StructureScore::kMagnitude
                              ? magnitudes(input, uses)
                              : measured_scores(input, windows, walk, choice.score, uses));
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
  const architecture::StreamUses uses = architecture::stream_uses(input.config());
  const architecture::ModelConfig config =
      layerwise::with_channels(input.config(), static_cast<int64_t>(kept.size()));
  const std::vector<architecture::Tensor> expected = architecture::tensors(config);
  std::vector<format::CheckpointWriter::Tensor> tensors;
  for (const architecture::Tensor& tensor : expected) {
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(tensor.name));
    const auto use = uses.find(tensor.name);
    const bool gains = use != uses.end() && use->second == StreamUse::kGains;
    tensors.push_back({tensor.name, gains ? format::DType::kF32 : info.dtype, tensor.shape});
  }
  FRUGAL_ASSIGN_OR_RETURN(format::CheckpointWriter writer,
                          format::CheckpointWriter::create(folder, config, tensors));
  for (const architecture::Tensor& tensor : expected) {
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
