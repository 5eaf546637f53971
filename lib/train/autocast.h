// Autocast for the life of an object: matrix products and attention in a lower type, everything
// else as it is.
#pragma once

#include <ATen/core/Tensor.h>

namespace frugal::train {

// LibTorch has no such class in C++. Thread-local; nests. Casts of leaf weights are kept until the
// outermost object ends, so build it once per forward. `enabled` false: switches autocast off
// inside an outer one.
class Autocast {
 public:
  Autocast(at::DeviceType device, at::ScalarType type, bool enabled);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  at::DeviceType device_;
  bool was_enabled_;
  at::ScalarType previous_type_;
};

}  // namespace frugal::train
