#include "architecture/stages.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <utility>

#include "base/text.h"

namespace frugal::architecture {
namespace {

// The tensors of one layer, by role.
class LayerTensors {
 public:
  LayerTensors(const ModelConfig& config, int64_t layer) : all_(layer_tensors(config, layer)) {}

  std::optional<Tensor> find(Role role, int64_t expert) const {
    const auto found = std::find_if(all_.begin(), all_.end(), [&](const Tensor& tensor) {
      return tensor.role == role && tensor.expert == expert;
    });
    return found == all_.end() ? std::nullopt : std::optional(*found);
  }
  Stage stage(std::string name, std::initializer_list<Role> matrices, bool writes_residual,
              std::optional<Tensor> input_scale, int64_t expert = kNoExpert) const {
    Stage stage{.name = std::move(name),
                .matrices = {},
                .writes_residual = writes_residual,
                .input_scale = std::move(input_scale),
                .expert = expert};
    for (const Role role : matrices) stage.matrices.push_back(find(role, expert).value());
    return stage;
  }

 private:
  std::vector<Tensor> all_;
};

}  // namespace

std::vector<Stage> stages(const ModelConfig& config, int64_t layer) {
  const LayerTensors tensors(config, layer);
  const Layer& at = config.layers.at(static_cast<size_t>(layer));
  const bool as_they_are = at.residual_multiplier == 1.0;
  std::vector<Stage> result = {
      tensors.stage("attention_in", {Role::kQuery, Role::kKey, Role::kValue}, false,
                    tensors.find(Role::kNormBeforeAttention, kNoExpert)),
      tensors.stage("attention_out", {Role::kAttentionOutput}, as_they_are && !at.after_attention,
                    tensors.find(Role::kValue, kNoExpert)),
  };
  if (!at.experts) {
    const bool gated = at.feed_forward.gated;
    const std::optional<Tensor> norm = tensors.find(Role::kNormBeforeFeedForward, kNoExpert);
    result.push_back(gated ? tensors.stage("mlp_in", {Role::kGate, Role::kUp}, false, norm)
                           : tensors.stage("mlp_in", {Role::kUp}, false, norm));
    // Behind the activation of a plain feed-forward nothing is proportional to the rows of `up`.
    result.push_back(
        tensors.stage("mlp_out", {Role::kDown}, as_they_are && !at.after_feed_forward,
                      gated ? tensors.find(Role::kUp, kNoExpert) : std::optional<Tensor>()));
    return result;
  }
  // The norm's gain scales what all experts read, and the router: none of them can take it alone.
  for (int64_t e = 0; e < at.experts->count; ++e) {
    const std::string prefix = base::str_cat("expert ", e, " ");
    result.push_back(tensors.stage(prefix + "mlp_in", {Role::kGate, Role::kUp}, false, {}, e));
    result.push_back(
        tensors.stage(prefix + "mlp_out", {Role::kDown}, false, tensors.find(Role::kUp, e), e));
  }
  return result;
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
