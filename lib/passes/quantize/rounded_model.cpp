#include "passes/quantize/rounded_model.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "base/interrupt.h"
#include "layerwise/gptq.h"
#include "layerwise/tiles.h"
#include "tensor/guard.h"
#include "train/losses.h"

namespace frugal::passes {

absl::Status RoundedModel::put(const std::string& name, const std::string& grid_name) {
  std::string& present = grids_[name];
  if (present == grid_name) return absl::OkStatus();
  const at::Tensor weights = original_.parameters().find(name)->second;
  FRUGAL_ASSIGN_OR_RETURN(auto grid, grid::find_grid(grid_name, weights.size(1)));
  const auto importance = importance_.find(name);
  FRUGAL_ASSIGN_OR_RETURN(
      const grid::QuantizedMatrix matrix,
      layerwise::round_to_nearest(
          weights.cpu(), importance == importance_.end() ? at::Tensor() : importance->second,
          std::move(grid), true));
  rounded_.set_parameter(name, layerwise::decode(matrix).to(original_.device()));
  present = grid_name;
  return absl::OkStatus();
}

at::Tensor RoundedModel::hidden(const model::Decoder& decoder, int64_t window) const {
  const auto begin = windows_.ids.begin() + window * windows_.length;
  const std::vector<int64_t> ids(begin, begin + windows_.length);
  const at::Tensor batch = at::tensor(ids, at::kLong).unsqueeze(0).to(decoder.device());
  return decoder.hidden({.ids = batch, .positions = {}}).squeeze(0);
}

double RoundedModel::window_divergence(int64_t window) {
  at::Tensor& reference = original_hidden_[static_cast<size_t>(window)];
  if (!reference.defined()) reference = hidden(original_, window);
  train::LossInput input;
  input.hidden = hidden(rounded_, window);
  input.head = rounded_.head_weight();
  input.targets = at::zeros({windows_.length}, reference.options().dtype(at::kLong));
  input.teacher_hidden = reference;
  input.teacher_head = original_.head_weight();
  return train::head_loss(input, {.distillation_weight = 1.0}, 1.0).divergence.item<double>();
}

double RoundedModel::mean_divergence() {
  original_hidden_.resize(static_cast<size_t>(windows_.count));
  std::vector<double> sums(original_hidden_.size());
  const auto body = [&](int64_t i) { sums[static_cast<size_t>(i)] = window_divergence(i); };
  if (original_.device().is_cpu()) {
    layerwise::for_each_tile(windows_.count, body);
  } else {
    const at::NoGradGuard no_grad;
    for (int64_t i = 0; i < windows_.count; ++i) body(i);
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum / static_cast<double>(windows_.count * windows_.length);
}

absl::StatusOr<double> RoundedModel::divergence(const std::vector<size_t>& choice) {
  FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
  return tensor::guarded("a model rounded to nearest", [&]() -> absl::StatusOr<double> {
    for (const PlannedTensor& tensor : planned_tensors(plan_, choice)) {
      if (!tensor.grid.empty()) FRUGAL_RETURN_IF_ERROR(put(tensor.name, tensor.grid));
    }
    const double divergence = mean_divergence();
    if (std::isfinite(divergence)) return divergence;
    return base::failed("the divergence of the model rounded to nearest is ", divergence,
                        " on the held-out windows; does the model itself give finite logits?");
  });
}

}  // namespace frugal::passes
