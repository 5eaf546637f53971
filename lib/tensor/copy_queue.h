// Copies between a GPU's memory and the host's that run beside the GPU's computations, on a queue
// of their own. What is copied to the host lies there in page-locked memory, without which no copy
// would run by itself.
//
// Functions throw (LibTorch).
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <optional>

namespace frugal::tensor {

class CopyQueue {
 public:
  // Of a device that is not the CPU.
  explicit CopyQueue(const at::Device& device);

  // A tensor on its way to the device.
  struct Arrival {
    at::Tensor source;  // stays alive with it
    at::Tensor value;
    std::optional<c10::Event> copied;
  };

  // Copies `value` (on the device) behind all that its current queue was asked for so far. The
  // result [same shape, contiguous] on the host is for start() alone: nothing else waits for it.
  at::Tensor to_host(const at::Tensor& value) const;
  // Starts to copy `value` (on the host) behind the copies asked for before. From other threads
  // than the first, too.
  Arrival start(const at::Tensor& value) const;
  // The tensor on the device; what its current queue is asked for from here on waits for the copy.
  at::Tensor finish(Arrival arrival) const;

 private:
  at::Device device_;
  c10::Stream copies_;
};

}  // namespace frugal::tensor
