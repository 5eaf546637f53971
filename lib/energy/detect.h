// Which meters this machine has. GPUs: NVML and hwmon. The CPU: RAPL's packages, else the counters
// of the sockets, else a meter of the whole machine (psys, the ACPI power meter, a battery that
// discharges), else the model. What covers more or less than these is shown beside and in no sum.
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
  // What of the GPUs counts: a list as in CUDA_VISIBLE_DEVICES, its numbers in the order of the bus
  // (nvidia-smi's). Absent: the environment variable, where it is set, read as CUDA reads it
  // (CUDA_DEVICE_ORDER); else every GPU.
  std::optional<std::string> gpus;
  // The device in use as CUDA counts it: its board alone counts. Absent: what `gpus` says.
  std::optional<int64_t> cuda_index;
  // Model the CPU where no package counter can be read.
  bool cpu_model_when_unmeasured = true;
  // For the CPU model; absent: what the CPU says of itself (cpu_table.h).
  std::optional<HardwareProfile> cpu_profile;

  std::string nvml_library = "libnvidia-ml.so.1";
  std::string cuda_library = "libcuda.so.1";
  std::filesystem::path powercap_root = "/sys/class/powercap";
  std::filesystem::path hwmon_root = "/sys/class/hwmon";
  std::filesystem::path power_supply_root = "/sys/class/power_supply";
  std::filesystem::path cpuinfo = "/proc/cpuinfo";
  std::filesystem::path cpu_root = "/sys/devices/system/cpu";
  const Clock* clock = nullptr;  // absent: the system's
};

struct Detected {
  std::vector<std::unique_ptr<Meter>> meters;
  std::vector<Unavailable> unavailable;
};
Detected detect_meters(const DetectOptions& options);

}  // namespace frugal::energy
