// The device, without LibTorch's headers.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace frugal::tool {

struct Device {
  std::string name;         // "cpu", "cuda:0"
  std::string description;  // "cpu", "cuda:0 (NVIDIA H200)"
};
// "auto", "cpu", "cuda", "cuda:N". The first call into LibTorch of the process.
absl::StatusOr<Device> open_device(const std::string& name);

// Lines about LibTorch and what this CPU can do, for `frugal doctor`.
std::vector<std::string> torch_facts();

// What the CUDA kernels of our own are and where. Errors: why they cannot be used.
absl::StatusOr<std::string> cuda_kernels();

}  // namespace frugal::tool
