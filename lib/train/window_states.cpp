#include "train/window_states.h"

#include <ATen/core/grad_mode.h>

#include <utility>

#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::train {

at::Tensor window_ids(const text::Windows& windows, int64_t row, const at::Device& device) {
  const auto begin = windows.ids.begin() + row * windows.length;
  const std::vector<int64_t> ids(begin, begin + windows.length);
  return at::tensor(ids, at::kLong).unsqueeze(0).to(device);
}

void for_each_window(const at::Device& device, int64_t count,
                     const std::function<void(int64_t)>& body) {
  if (device.is_cpu()) {
    tensor::for_each_tile(count, body);
    return;
  }
  const at::NoGradGuard no_grad;
  for (int64_t i = 0; i < count; ++i) body(i);
}

WindowStates::WindowStates(model::Decoder model, const text::Windows& windows, int64_t cache_bytes)
    : model_(std::move(model)), windows_(windows) {
  const int64_t each =
      windows.length * model_.config().hidden_size * static_cast<int64_t>(sizeof(float));
  if (each * windows.count <= cache_bytes) known_.resize(static_cast<size_t>(windows.count));
}

at::Tensor WindowStates::get(int64_t row) const {
  if (!known_.empty() && known_[static_cast<size_t>(row)].defined())
    return known_[static_cast<size_t>(row)];
  const at::NoGradGuard no_grad;
  return model_.hidden({.ids = window_ids(windows_, row, model_.device()), .positions = {}})
      .squeeze(0);
}

void WindowStates::keep(int64_t row, const at::Tensor& hidden) {
  if (!known_.empty()) known_[static_cast<size_t>(row)] = hidden;
}

}  // namespace frugal::train
