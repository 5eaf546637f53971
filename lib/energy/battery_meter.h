// What a laptop draws from its battery, through Linux's power_supply: power_now, or current_now
// times voltage_now, while it discharges. On mains nothing can be said by it.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "energy/meter.h"

namespace frugal::energy {

struct BatteryMeters {
  std::vector<std::unique_ptr<Meter>> machines;  // "battery-BAT0"
  std::vector<Unavailable> unavailable;
};

// Batteries below `root` (/sys/class/power_supply); those of keyboards and mice do not count.
BatteryMeters find_battery_meters(const std::filesystem::path& root, const Clock& clock);

}  // namespace frugal::energy
