#include "train/optimizer.h"

#include <ATen/core/grad_mode.h>

#include "tensor/aten.h"

namespace frugal::train {

AdamW::AdamW(const std::map<std::string, at::Tensor, std::less<>>& parameters,
             const AdamWOptions& options)
    : options_(options) {
  groups_[0].weight_decay = options.weight_decay;
  for (const auto& [name, parameter] : parameters) {
    TORCH_CHECK(parameter.scalar_type() == at::kFloat, "AdamW: parameter ", name, " is ",
                parameter.scalar_type(), ", only fp32 weights are trained");
    const int index = parameter.dim() >= 2 ? 0 : 1;
    Group& group = groups_[index];
    names_[index].push_back(name);
    group.parameters.push_back(parameter);
    group.first.push_back(at::zeros_like(parameter, at::MemoryFormat::Contiguous).detach());
    group.second.push_back(at::zeros_like(parameter, at::MemoryFormat::Contiguous).detach());
    group.steps.push_back(at::zeros({}, parameter.options().requires_grad(false)));
  }
}

std::vector<at::Tensor> AdamW::gradients() const {
  std::vector<at::Tensor> result;
  for (int index = 0; index < 2; ++index) {
    for (size_t i = 0; i < groups_[index].parameters.size(); ++i) {
      const at::Tensor& gradient = groups_[index].parameters[i].grad();
      TORCH_CHECK(gradient.defined(), "AdamW: parameter ", names_[index][i], " has no gradient");
      result.push_back(gradient);
    }
  }
  return result;
}

void AdamW::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> all = gradients();
  size_t begin = 0;
  for (Group& group : groups_) {
    const size_t count = group.parameters.size();
    if (count == 0) continue;
    at::_foreach_add_(group.steps, 1);
    at::_fused_adamw_(group.parameters, at::TensorList(all.data() + begin, count), group.first,
                      group.second, {}, group.steps, learning_rate, options_.beta1, options_.beta2,
                      group.weight_decay, options_.epsilon, /*amsgrad=*/false, /*maximize=*/false);
    begin += count;
  }
  ++steps_done_;
}

void AdamW::clear_gradients() {
  for (Group& group : groups_) {
    for (at::Tensor& parameter : group.parameters) parameter.mutable_grad() = at::Tensor();
  }
}

at::Tensor AdamW::clip_gradients(double largest) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> all = gradients();
  const at::Tensor norm = at::stack(at::_foreach_norm(all, 2)).norm();
  if (largest > 0) at::_foreach_mul_(all, (largest / (norm + 1e-6)).clamp_max_(1.0));
  return norm;
}

std::map<std::string, AdamW::Moments, std::less<>> AdamW::moments() const {
  std::map<std::string, Moments, std::less<>> result;
  for (int index = 0; index < 2; ++index) {
    for (size_t i = 0; i < names_[index].size(); ++i) {
      result.emplace(names_[index][i], Moments{groups_[index].first[i], groups_[index].second[i]});
    }
  }
  return result;
}

void AdamW::resume_at(int64_t steps) {
  steps_done_ = steps;
  for (Group& group : groups_) {
    for (at::Tensor& step : group.steps) step.fill_(static_cast<double>(steps));
  }
}

}  // namespace frugal::train
