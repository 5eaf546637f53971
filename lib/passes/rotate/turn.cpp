// Tested by: tests/passes/rotate_test.cpp
#include "passes/rotate/turn.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "model/architecture.h"
#include "tensor/guard.h"
#include "tensor/tiles.h"
#include "tensor/transfer.h"

namespace frugal::passes {
namespace {

constexpr int64_t kRowsAtOnce =
    8192;  // of weights that are turned from the right only: bounds fp64
constexpr const char* kStream = "residual";

using Shapes = std::map<std::string, std::vector<int64_t>, std::less<>>;

void add_stage(const model::Stage& stage, int64_t layer, const Shapes& shapes,
               const TurnOptions& options, TurnRoles& roles) {
  const std::string source = model::weight_name(layer, stage.input_scale);
  const auto found = shapes.find(source);
  const bool reads = options.residual && found != shapes.end() && found->second.size() == 1;
  if (reads) roles[source].becomes_ones = true;
  const bool heads = options.heads && stage.name == "attention_out";
  if (heads) roles[source].value_rows_of = layer;
  for (const std::string& matrix : stage.matrices) {
    TurnRole& role = roles[model::weight_name(layer, matrix)];
    role.reads = reads;
    if (reads) role.gains = source;
    role.writes = options.residual && stage.writes_residual;
    if (heads) role.value_columns_of = layer;
  }
}

void add_ends(const format::ModelConfig& config, TurnRoles& roles) {
  roles[std::string(model::kEmbedding)].reads = true;
  roles[std::string(model::kFinalNorm)].becomes_ones = true;
  if (config.tied_embeddings) return;
  roles[std::string(model::kHead)] = {.gains = std::string(model::kFinalNorm), .reads = true};
}

}  // namespace

format::ModelConfig turned_config(format::ModelConfig config, const TurnOptions& options) {
  if (options.residual) config.tied_embeddings = false;
  return config;
}

absl::StatusOr<TurnRoles> turn_roles(const format::ModelConfig& config,
                                     const TurnOptions& options) {
  const format::ModelConfig turned = turned_config(config, options);
  Shapes shapes;
  for (const format::ExpectedTensor& tensor : format::expected_tensors(turned))
    shapes.emplace(tensor.name, tensor.shape);
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<model::Stage> stages, model::stages(turned));
  FRUGAL_RETURN_IF_ERROR(base::annotate(model::stream_uses(turned).status(), "rotate"));
  TurnRoles roles;
  for (int64_t layer = 0; layer < turned.layer_count; ++layer) {
    for (const model::Stage& stage : stages) add_stage(stage, layer, shapes, options, roles);
  }
  if (options.residual) add_ends(turned, roles);
  std::erase_if(roles, [](const auto& item) { return item.second == TurnRole{}; });
  return roles;
}

const at::Tensor& Turner::rotation(int64_t size, const std::string& name) {
  const auto found = rotations_.find(name);
  if (found != rotations_.end()) return found->second;
  std::erase_if(rotations_, [](const auto& item) { return item.first != kStream; });
  const at::Tensor q = name == kStream && options_.stream.defined()
                           ? options_.stream
                           : layerwise::random_rotation(size, options_.kind, options_.seed, name);
  const at::Tensor product = tensor::matrix_product(q.t().contiguous(), q);
  product.diagonal().sub_(1);
  defect_ = std::max(defect_, product.abs().max().item<double>());
  return rotations_[name] = q;
}

at::Tensor Turner::apply(const at::Tensor& weights, const at::Tensor& gains, const TurnRole& role) {
  const auto times = [](const at::Tensor& a, const at::Tensor& b) {
    return tensor::matrix_product(a.contiguous(), b.contiguous());
  };
  const int64_t width = input_.config().hidden_size, head = input_.config().head_size;
  at::Tensor w = weights.to(at::kDouble);
  if (gains.defined()) w = w * gains;
  if (role.value_rows_of >= 0) {  // [K, D, C]: Rᵀ W = (Wᵀ R)ᵀ head by head
    const at::Tensor& r = rotation(head, base::str_cat("layer ", role.value_rows_of));
    const at::Tensor by_head = w.view({-1, head, w.size(1)}).transpose(1, 2);
    const at::Tensor turned = times(by_head.reshape({-1, head}), r);
    w = turned.view({-1, w.size(1), head}).transpose(1, 2).reshape(w.sizes());
  }
  if (role.value_columns_of >= 0) {
    const at::Tensor& r = rotation(head, base::str_cat("layer ", role.value_columns_of));
    w = times(w.reshape({-1, head}), r).view(w.sizes());
  }
  if (role.reads) w = times(w, rotation(width, kStream));
  if (role.writes) w = times(rotation(width, kStream).t(), w);
  return w.to(at::kFloat);
}

absl::StatusOr<at::Tensor> Turner::turned(const std::string& name, const TurnRole& role) {
  const bool from_tied = name == model::kHead && input_.config().tied_embeddings;
  FRUGAL_ASSIGN_OR_RETURN(
      const at::Tensor weights,
      tensor::load(input_, from_tied ? model::kEmbedding : name, at::kFloat, at::kCPU));
  at::Tensor gains;
  if (!role.gains.empty()) {
    FRUGAL_ASSIGN_OR_RETURN(gains, tensor::load(input_, role.gains, at::kFloat, at::kCPU));
    gains = gains.to(at::kDouble);
  }
  return tensor::guarded(name, [&] {
    if (role.becomes_ones) return at::ones_like(weights);
    if (role.writes || role.value_rows_of >= 0 || weights.size(0) <= kRowsAtOnce)
      return apply(weights, gains, role);
    std::vector<at::Tensor> parts;
    for (const at::Tensor& rows : weights.split(kRowsAtOnce, 0))
      parts.push_back(apply(rows, gains, role));
    return at::cat(parts);
  });
}

}  // namespace frugal::passes
