// Which meters this machine has.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "energy/hardware.h"
#include "energy/meter.h"

namespace frugal::energy {

struct DetectOptions {
  bool gpu = true;
  bool cpu = true;
  bool dram = true;
  // What of the GPUs counts: a list as in CUDA_VISIBLE_DEVICES (NVML indices or UUIDs). Absent: the
  // environment variable, where it is set; else every GPU.
  std::optional<std::string> gpus;
  // Model the CPU where no package counter can be read.
  bool cpu_model_when_unmeasured = true;
  // For the CPU model; absent: an assumed default (cpu_model_meter.h).
  std::optional<HardwareProfile> cpu_profile;

  std::string nvml_library = "libnvidia-ml.so.1";
  std::filesystem::path powercap_root = "/sys/class/powercap";
  const Clock* clock = nullptr;  // absent: the system's
};

struct Detected {
  std::vector<std::unique_ptr<Meter>> meters;
  std::vector<Unavailable> unavailable;
};
Detected detect_meters(const DetectOptions& options);

}  // namespace frugal::energy
