// Meters of Linux's hwmon folder: AMD GPUs (amdgpu: energy1_input, else power1_average or
// power1_input), AMD CPUs (amd_energy: the counters of the sockets), and whole machines (the ACPI
// power meter, through which servers show what their IPMI or Redfish controller measures).
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "energy/meter.h"

namespace frugal::energy {

struct HwmonMeters {
  std::vector<std::unique_ptr<Meter>> gpus;      // "gpu-amd-0"
  std::vector<std::unique_ptr<Meter>> sockets;   // "cpu-socket-0"
  std::vector<std::unique_ptr<Meter>> machines;  // "machine-0": all of it
  std::vector<Unavailable> unavailable;
};

// Chips below `root` (/sys/class/hwmon). Each sensor is read once here; one that cannot be read is
// unavailable.
HwmonMeters find_hwmon_meters(const std::filesystem::path& root, const Clock& clock);

}  // namespace frugal::energy
