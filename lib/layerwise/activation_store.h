// Where a walk's activations lie: in memory up to a limit, beyond it in a file mapped where they
// are used. The file is unlinked as soon as it is open, so that no exit leaves it behind.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>

namespace frugal::layerwise {

class ActivationStore {
 public:
  // `limit_bytes` of activations stay in memory; 0 = all, `folder` is then not touched. The file is
  // made in `folder` (which is made where missing) once something goes beyond the limit.
  ActivationStore(int64_t limit_bytes, std::filesystem::path folder);

  // The same values, contiguous, where they are to stay: a tensor to take the place of `value`
  // [any, fp32 on the CPU]. Once all tensors on a place are gone, the place is free for others.
  // What is kept already, undefined or on a device comes back as it is. Safe across threads. Throws
  // where the file cannot be made or filled: file, bytes, reason.
  at::Tensor keep(const at::Tensor& value) const;

  // `value` is not needed for a while: where it lies in the file, its pages leave the process.
  void rest(const at::Tensor& value) const;

  int64_t bytes_in_memory() const;
  int64_t file_bytes() const;  // size of the file: its largest use so far

 private:
  class State;
  std::shared_ptr<State> state_;  // shared with the tensors kept
};

}  // namespace frugal::layerwise
