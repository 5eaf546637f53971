#include "train/parameter_view.h"

#include <ATen/core/grad_mode.h>

#include <utility>

#include "tensor/aten.h"

namespace frugal::train {

ParameterView::ParameterView(const model::Decoder& model)
    : model_(model), trained_(model.parameters()) {}

ParameterView::ParameterView(const model::Decoder& model,
                             const std::function<bool(std::string_view)>& trains)
    : ParameterView(model) {
  whole_ = std::erase_if(trained_, [&](const auto& item) { return !trains(item.first); }) == 0;
}

void ParameterView::add(const TensorMap& added, Adapt adapt) {
  for (const auto& [name, value] : added) {
    TORCH_CHECK_VALUE(!model_.parameters().contains(name), "parameter ", name,
                      " cannot be added: the model has one of that name");
    trained_.emplace(name, value);
  }
  added_ = added;
  adapt_ = std::move(adapt);
  whole_ = false;
}

model::Decoder ParameterView::adapted() const {
  model::Decoder model = model_;
  if (adapt_) adapt_(model, added_);
  return model;
}

std::string ParameterView::selection() const {
  std::string names;
  if (whole_) return names;
  for (const auto& [name, value] : trained_) names += name + "\n";
  return names;
}

void ParameterView::require_gradients(bool required) const {
  for (const auto& [name, value] : trained_) value.requires_grad_(required);
}

TensorMap ParameterView::copy() const {
  TensorMap values;
  for (const auto& [name, value] : trained_) values.emplace(name, value.detach().clone());
  return values;
}

void ParameterView::assign(const TensorMap& values) const {
  const at::NoGradGuard no_grad;
  for (const auto& [name, value] : trained_) value.copy_(values.find(name)->second);
}

}  // namespace frugal::train
