// The state of the CPU beside its energy, as far as Linux tells it. Internal to the room.
#pragma once

#include <filesystem>
#include <memory>

#include "base/json.h"
#include "energy/meter.h"

namespace frugal::energy {

// {"clock_mhz": the mean over all CPUs as the governor last set them (cpufreq),
// "temperature_celsius": of the package, the hottest one (hwmon's coretemp, k10temp or zenpower)};
// what is not told is absent, as in most virtual machines.
base::Json cpu_conditions(const std::filesystem::path& cpu_root,
                          const std::filesystem::path& hwmon_root);

// The meter, which also tells these conditions where it tells none of that name by itself.
std::unique_ptr<Meter> with_cpu_conditions(std::unique_ptr<Meter> meter,
                                           std::filesystem::path cpu_root,
                                           std::filesystem::path hwmon_root);

}  // namespace frugal::energy
