#include "layerwise/pruning/expert_outputs.h"

#include "architecture/tensors.h"
#include "layerwise/walk/layer_weights.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"
#include "tensor/transfer.h"

namespace frugal::layerwise {

using architecture::Role;

absl::StatusOr<ExpertMatrices> load_expert(const format::Checkpoint& checkpoint, int64_t layer,
                                           int64_t expert) {
  const auto load = [&](Role role) {
    return tensor::load(checkpoint,
                        architecture::tensor_name(checkpoint.config(), role, layer, expert),
                        at::kFloat, at::kCPU);
  };
  ExpertMatrices result;
  FRUGAL_ASSIGN_OR_RETURN(result.gate, load(Role::kGate));
  FRUGAL_ASSIGN_OR_RETURN(result.up, load(Role::kUp));
  FRUGAL_ASSIGN_OR_RETURN(result.down, load(Role::kDown));
  return result;
}

at::Tensor expert_neurons(const LayerExperts& experts, const model::StageProduct& product,
                          const at::Tensor& rows) {
  model::LayerState state{.residual = {}, .input = {rows}};
  // The first stage of any expert: all of them do the same.
  const architecture::StageRef at{experts.layer, architecture::kAttentionStages, 0};
  experts.runner.advance(state, at, product.apply(rows), experts.small, experts.contexts);
  return state.input.rows;
}

model::StageProduct first_product(const ExpertMatrices& matrices, model::Precision precision) {
  const int64_t neurons = matrices.gate.size(0);
  return {tensor::concatenate({matrices.gate, matrices.up}), {neurons, neurons}, precision};
}

model::StageProduct second_product(const ExpertMatrices& matrices, model::Precision precision) {
  return {matrices.down, {matrices.down.size(0)}, precision};
}

absl::StatusOr<std::vector<at::Tensor>> all_expert_outputs(const format::Checkpoint& checkpoint,
                                                           const LayerExperts& experts,
                                                           model::Precision precision) {
  const architecture::ModelConfig& config = checkpoint.config();
  const int64_t count = config.layers.at(static_cast<size_t>(experts.layer)).experts->count;
  std::vector<at::Tensor> inputs, outputs;
  for (size_t i = 0; i < experts.chunks; ++i) {
    const at::Tensor normed = experts.routing(i).normed;
    inputs.push_back(normed.reshape({-1, normed.size(-1)}).cpu());
    outputs.push_back(at::empty({count, inputs.back().size(0), config.hidden_size}, at::kFloat));
  }
  for (int64_t e = 0; e < count; ++e) {
    FRUGAL_ASSIGN_OR_RETURN(const ExpertMatrices matrices,
                            load_expert(checkpoint, experts.layer, e));
    const model::StageProduct first = first_product(matrices, precision);
    const model::StageProduct second = second_product(matrices, precision);
    tensor::for_each_tile(static_cast<int64_t>(inputs.size()), [&](int64_t i) {
      const auto at = static_cast<size_t>(i);
      outputs[at][e].copy_(second.apply(expert_neurons(experts, first, inputs[at])).at(0));
    });
  }
  return outputs;
}

}  // namespace frugal::layerwise
