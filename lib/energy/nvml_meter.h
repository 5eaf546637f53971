// NVIDIA GPUs through NVML, opened at run time: the total energy counter (Volta and later) in mJ
// since the driver was loaded. It moves about every 100 ms and counts the whole board. Where there
// is none, the power is integrated; where there is one, that integral is its cross-check.
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

// Which GPUs count.
struct GpuChoice {
  // As CUDA_VISIBLE_DEVICES: numbers, UUIDs or their beginnings ("GPU-8f"), MIG slices
  // ("MIG-<uuid>", "MIG-GPU-<uuid>/gi/ci"), of which the whole board is metered, or a bare UUID of
  // either. Absent: every GPU.
  std::optional<std::string> list = {};
  // Numbers are in the order of the bus, as NVML's are; else in CUDA's, which the driver is asked
  // for.
  bool bus_order = true;
  std::string cuda_library = "libcuda.so.1";
};

// `library`: name or path for dlopen.
NvmlMeters find_nvml_meters(const std::string& library, const GpuChoice& choice,
                            const Clock& clock);

}  // namespace frugal::energy
