// What a run trains: parameters of a model, all or some, and tensors that are added to it.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "model/decoder.h"

namespace frugal::train {

using TensorMap = std::map<std::string, at::Tensor, std::less<>>;

class ParameterView {
 public:
  // All parameters of `model`, shared with it. (A model stands for a view of all that it has.)
  ParameterView(const model::Decoder& model);  // NOLINT(google-explicit-constructor)
  // Those whose name `trains` accepts; the others are frozen.
  ParameterView(const model::Decoder& model,
                const std::function<bool(std::string_view name)>& trains);

  // Puts what `added` make of the model's parameters into `model`, a copy that shares its tensors:
  // differentiable, called before every forward.
  using Adapt = std::function<void(model::Decoder& model, const TensorMap& added)>;
  // Trains fp32 tensors `added` besides, such as an adapter's factors. Throws for a name that the
  // model has.
  void add(const TensorMap& added, Adapt adapt);

  const model::Decoder& base() const { return model_; }
  const TensorMap& trained() const { return trained_; }  // of the model and added, by name
  // The model that a forward runs on: the base, or a copy with what was added.
  model::Decoder adapted() const;
  // Names of what is trained where that is not simply all of the model: part of a run's identity.
  std::string selection() const;

  void require_gradients(bool required) const;
  TensorMap copy() const;                      // of what is trained
  void assign(const TensorMap& values) const;  // what copy() gave

 private:
  model::Decoder model_;
  TensorMap trained_, added_;
  Adapt adapt_;
  bool whole_ = true;
};

}  // namespace frugal::train
