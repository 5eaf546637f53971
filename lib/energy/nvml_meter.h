// NVIDIA GPUs through NVML, opened at run time: the total energy counter (Volta and later) in mJ
// since the driver was loaded. It moves about every 100 ms and counts the whole board.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "energy/meter.h"

namespace frugal::energy {

struct NvmlMeters {
  std::vector<std::unique_ptr<Meter>> gpus;
  std::vector<Unavailable> unavailable;
};

// `library`: name or path for dlopen. `visible`: as CUDA_VISIBLE_DEVICES (indices, UUIDs or their
// beginnings); absent: every GPU. NVML counts devices in PCI order, as CUDA does with
// CUDA_DEVICE_ORDER=PCI_BUS_ID.
NvmlMeters find_nvml_meters(const std::string& library, const std::optional<std::string>& visible,
                            const Clock& clock);

}  // namespace frugal::energy
