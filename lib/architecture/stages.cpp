#include "architecture/stages.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace frugal::architecture {
namespace {

// The tensors of one layer, by role.
class LayerTensors {
 public:
  LayerTensors(const ModelConfig& config, int64_t layer) : all_(layer_tensors(config, layer)) {}

  Tensor of(Role role) const {
    return *std::find_if(all_.begin(), all_.end(),
                         [&](const Tensor& tensor) { return tensor.role == role; });
  }
  Stage stage(std::string name, std::initializer_list<Role> matrices, bool writes_residual,
              Role input_scale) const {
    Stage stage{.name = std::move(name),
                .matrices = {},
                .writes_residual = writes_residual,
                .input_scale = of(input_scale)};
    for (const Role role : matrices) stage.matrices.push_back(of(role));
    return stage;
  }

 private:
  std::vector<Tensor> all_;
};

}  // namespace

std::vector<Stage> stages(const ModelConfig& config, int64_t layer) {
  const LayerTensors tensors(config, layer);
  const Layer& at = config.layers.at(static_cast<size_t>(layer));
  return {
      tensors.stage("attention_in", {Role::kQuery, Role::kKey, Role::kValue}, false,
                    Role::kNormBeforeAttention),
      tensors.stage("attention_out", {Role::kAttentionOutput}, !at.after_attention, Role::kValue),
      tensors.stage("mlp_in", {Role::kGate, Role::kUp}, false, Role::kNormBeforeFeedForward),
      tensors.stage("mlp_out", {Role::kDown}, !at.after_feed_forward, Role::kUp),
  };
}

std::vector<std::vector<Stage>> all_stages(const ModelConfig& config) {
  std::vector<std::vector<Stage>> result;
  for (int64_t layer = 0; layer < config.layer_count(); ++layer)
    result.push_back(stages(config, layer));
  return result;
}

std::vector<std::string> layer_matrices(const ModelConfig& config) {
  std::vector<std::string> names;
  for (int64_t layer = 0; layer < config.layer_count(); ++layer) {
    for (const Stage& stage : stages(config, layer)) {
      for (const Tensor& matrix : stage.matrices) names.push_back(matrix.name);
    }
  }
  return names;
}

}  // namespace frugal::architecture
