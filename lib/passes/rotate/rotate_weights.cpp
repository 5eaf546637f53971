// Tested by: tests/passes/rotate_test.cpp
#include "passes/rotate/rotate_weights.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "architecture/tensors.h"
#include "base/text.h"
#include "passes/common/layer_kinds.h"
#include "tensor/aten.h"
#include "tensor/guard.h"
#include "tensor/tiles.h"
#include "tensor/transfer.h"

namespace frugal::passes {
namespace {

constexpr int64_t kRowsAtOnce =
    8192;  // of weights that are rotated from the right only: bounds fp64
constexpr const char* kStream = "residual";

using architecture::Role;
using architecture::Tensor;

// The norm whose gains the inputs of a reader carry; absent for what reads something else.
std::optional<Role> norm_before(Role reader) {
  switch (reader) {
    case Role::kQuery:
    case Role::kKey:
    case Role::kValue:
      return Role::kNormBeforeAttention;
    case Role::kRouter:
    case Role::kGate:
    case Role::kUp:
      return Role::kNormBeforeFeedForward;
    case Role::kHead:
      return Role::kFinalNorm;
    default:
      return std::nullopt;
  }
}

RotationRole rotation_role(const architecture::ModelConfig& config, const Tensor& tensor,
                           const RotateOptions& options) {
  RotationRole role;
  if (options.residual) {
    if (const std::optional<Role> norm = norm_before(tensor.role)) {
      role.reads = true;
      role.gains = architecture::tensor_name(config, *norm, tensor.layer);
      role.gain_offset = architecture::stored_offset(config, *norm, tensor.layer);
    }
    role.reads |= tensor.role == Role::kEmbedding;
    const Role matrix = architecture::matrix_of(tensor.role);
    role.writes = matrix == Role::kAttentionOutput || matrix == Role::kDown;
    role.becomes_ones = tensor.role == Role::kNormBeforeAttention ||
                        tensor.role == Role::kNormBeforeFeedForward ||
                        tensor.role == Role::kFinalNorm;
    if (role.becomes_ones)
      role.gain_offset = architecture::stored_offset(config, tensor.role, tensor.layer);
  }
  if (options.heads) {
    if (architecture::matrix_of(tensor.role) == Role::kValue) role.value_rows_of = tensor.layer;
    if (tensor.role == Role::kAttentionOutput) role.value_columns_of = tensor.layer;
  }
  return role;
}

// A norm behind a block acts on channels; turned ones it would scale otherwise.
absl::Status check_norms_behind(const architecture::ModelConfig& config) {
  for (const architecture::Layer& layer : config.layers) {
    if (!layer.after_attention && !layer.after_feed_forward) continue;
    return base::unimplemented(
        "rotate: ", config.architecture,
        " has norms behind attention and feed-forward, whose gains cannot go into any matrix, so "
        "that its residual stream cannot be rotated; set residual: false to rotate value heads "
        "alone");
  }
  return absl::OkStatus();
}

}  // namespace

architecture::ModelConfig rotated_config(architecture::ModelConfig config,
                                         const RotateOptions& options) {
  if (options.residual) config.tied_embeddings = false;
  return config;
}

absl::StatusOr<RotationRoles> rotation_roles(const architecture::ModelConfig& config,
                                             const RotateOptions& options) {
  if (options.residual) {
    FRUGAL_RETURN_IF_ERROR(check_norms_behind(config));
    FRUGAL_RETURN_IF_ERROR(
        refuse_centered_norms(config, "rotate", "set residual: false to rotate value heads alone"));
  }
  RotationRoles roles;
  for (const Tensor& tensor : architecture::tensors(rotated_config(config, options))) {
    const RotationRole role = rotation_role(config, tensor, options);
    if (role != RotationRole{}) roles.emplace(tensor.name, role);
  }
  return roles;
}

const at::Tensor& WeightRotator::rotation(int64_t size, const std::string& name) {
  const auto found = rotations_.find(name);
  if (found != rotations_.end()) return found->second;
  std::erase_if(rotations_, [](const auto& item) { return item.first != kStream; });
  const at::Tensor q = name == kStream && options_.stream.defined()
                           ? options_.stream
                           : layerwise::random_rotation(size, options_.kind, options_.seed, name);
  const at::Tensor product = tensor::matrix_product(q.t().contiguous(), q);
  product.diagonal().sub_(1);
  orthogonality_error_ = std::max(orthogonality_error_, product.abs().max().item<double>());
  return rotations_[name] = q;
}

at::Tensor WeightRotator::apply(const at::Tensor& weights, const at::Tensor& gains,
                                const RotationRole& role) {
  const auto times = [](const at::Tensor& a, const at::Tensor& b) {
    return tensor::matrix_product(a.contiguous(), b.contiguous());
  };
  const int64_t width = input_.config().hidden_size,
                head = input_.config().layers.front().attention.head_size;
  const bool bias = weights.dim() == 1;  // one column
  at::Tensor w = weights.to(at::kDouble);
  if (bias) w = w.unsqueeze(1);
  if (gains.defined()) w = w * gains;
  if (role.value_rows_of >= 0) {  // [K, D, C]: Rᵀ W = (Wᵀ R)ᵀ head by head
    const at::Tensor& r = rotation(head, base::str_cat("layer ", role.value_rows_of));
    const at::Tensor by_head = w.view({-1, head, w.size(1)}).transpose(1, 2);
    const at::Tensor rotated = times(by_head.reshape({-1, head}), r);
    w = rotated.view({-1, w.size(1), head}).transpose(1, 2).reshape(w.sizes());
  }
  if (role.value_columns_of >= 0) {
    const at::Tensor& r = rotation(head, base::str_cat("layer ", role.value_columns_of));
    w = times(w.reshape({-1, head}), r).view(w.sizes());
  }
  if (role.reads) w = times(w, rotation(width, kStream));
  if (role.writes) w = times(rotation(width, kStream).t(), w);
  return (bias ? w.squeeze(1) : w).to(at::kFloat);
}

absl::StatusOr<at::Tensor> WeightRotator::rotated(const std::string& name,
                                                  const RotationRole& role) {
  const architecture::ModelConfig& config = input_.config();
  const bool from_tied = config.tied_embeddings && name == tensor_name(config, Role::kHead);
  FRUGAL_ASSIGN_OR_RETURN(
      const at::Tensor weights,
      tensor::load(input_, from_tied ? tensor_name(config, Role::kEmbedding) : name, at::kFloat,
                   at::kCPU));
  at::Tensor gains;
  if (!role.gains.empty()) {
    FRUGAL_ASSIGN_OR_RETURN(gains, tensor::load(input_, role.gains, at::kFloat, at::kCPU));
    gains = gains.to(at::kDouble) + role.gain_offset;
  }
  return tensor::guarded(name, [&] {
    if (role.becomes_ones) return at::full_like(weights, 1.0 - role.gain_offset);
    if (role.writes || role.value_rows_of >= 0 || weights.size(0) <= kRowsAtOnce)
      return apply(weights, gains, role);
    std::vector<at::Tensor> parts;
    for (const at::Tensor& rows : weights.split(kRowsAtOnce, 0))
      parts.push_back(apply(rows, gains, role));
    return tensor::concatenate(parts);
  });
}

}  // namespace frugal::passes
