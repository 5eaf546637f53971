// Which GPUs CUDA shows to this process, by UUID: the one name that CUDA and NVML share. Their
// indices differ: CUDA counts what CUDA_VISIBLE_DEVICES leaves, the fastest first unless
// CUDA_DEVICE_ORDER says PCI_BUS_ID; NVML counts every board in the order of the bus.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace frugal::energy {

// The UUID of each device in CUDA's order, without prefix: "1f0e2d3c-…" of a board or of a MIG
// slice. `library`: the driver, by name or path for dlopen. Errors: no driver; what the driver
// says.
absl::StatusOr<std::vector<std::string>> cuda_uuids(const std::string& library = "libcuda.so.1");

}  // namespace frugal::energy
