// Where a walk's activations lie: in memory up to a limit, beyond it in a file mapped where they
// are used. The file is unlinked as soon as it is open, so that no exit leaves it behind. Of a walk
// on a GPU: in the GPU's memory up to the limit, beyond it in the host's, from where they are
// copied while the GPU computes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "tensor/copy_queue.h"

namespace frugal::layerwise {

class ActivationStore {
 public:
  // `limit_bytes` of activations stay in memory; 0 = all, `folder` is then not touched. The file is
  // made in `folder` (which is made where missing) once something goes beyond the limit. On another
  // `device` there is no file.
  ActivationStore(int64_t limit_bytes, std::filesystem::path folder,
                  const at::Device& device = at::kCPU);

  // The same values, contiguous, where they are to stay: a tensor to take the place of `value`
  // [any, fp32 on the device]. Once all tensors on a place are gone, the place is free for others.
  // What is kept already or undefined comes back as it is. Safe across threads on the CPU. Throws
  // where the file cannot be made or filled: file, bytes, reason.
  at::Tensor keep(const at::Tensor& value) const;

  // What keep() gave, where it can be computed with: on the device.
  at::Tensor fetch(const at::Tensor& kept) const;
  // fetch() of this comes soon: where that takes a copy, it begins.
  void prefetch(const at::Tensor& kept) const;

  // `value` is not needed for a while: where it lies in the file, its pages leave the process.
  void evict(const at::Tensor& value) const;

  int64_t bytes_in_memory() const;
  int64_t file_bytes() const;  // size of the file: its largest use so far

 private:
  class State;
  at::Tensor keep_on_device(const at::Tensor& whole, int64_t bytes) const;

  std::shared_ptr<State> state_;  // shared with the tensors kept
  at::Device device_;
  std::optional<tensor::CopyQueue> copies_;  // where something may lie elsewhere
  mutable std::map<const void*, tensor::CopyQueue::Arrival> arrivals_;  // by the data on the host
};

}  // namespace frugal::layerwise
