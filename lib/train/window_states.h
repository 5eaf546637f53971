// Windows of text as a model sees them, window by window and beside each other. Internal.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "model/decoder.h"
#include "text/dataset.h"

namespace frugal::train {

// Ids [1, T] of window `row`.
at::Tensor window_ids(const text::Windows& windows, int64_t row, const at::Device& device);

// body(0) .. body(count - 1): on threads of the CPU, each with its own graph, or one after the
// other elsewhere.
void for_each_window(const at::Device& device, int64_t count,
                     const std::function<void(int64_t)>& body);

// A model's last hidden states [T, C] of windows; those seen before are kept as long as all fit
// into `cache_bytes`.
class WindowStates {
 public:
  // `windows` outlive the object.
  WindowStates(model::Decoder model, const text::Windows& windows, int64_t cache_bytes);

  at::Tensor get(int64_t row) const;
  // Not for several threads at once.
  void keep(int64_t row, const at::Tensor& hidden);

 private:
  model::Decoder model_;
  const text::Windows& windows_;
  std::vector<at::Tensor> known_;
};

}  // namespace frugal::train
