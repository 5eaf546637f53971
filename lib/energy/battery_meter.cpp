#include "energy/battery_meter.h"

#include <string>
#include <utility>

#include "energy/integrating_meter.h"
#include "energy/sysfs.h"

namespace frugal::energy {
namespace fs = std::filesystem;
namespace {

absl::StatusOr<double> battery_watts(const fs::path& battery) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string status, read_line(battery / "status"));
  if (status != "Discharging") {
    return base::failed("the battery is '", status,
                        "': it meters the machine only while it discharges; unplug the mains to "
                        "measure by it");
  }
  if (const auto power = read_count(battery / "power_now"); power.ok())
    return static_cast<double>(*power) * 1e-6;
  FRUGAL_ASSIGN_OR_RETURN(const uint64_t microamperes, read_count(battery / "current_now"));
  FRUGAL_ASSIGN_OR_RETURN(const uint64_t microvolts, read_count(battery / "voltage_now"));
  return static_cast<double>(microamperes) * 1e-6 * static_cast<double>(microvolts) * 1e-6;
}

bool is_of_the_machine(const fs::path& supply) {
  const auto type = read_line(supply / "type");
  const auto scope = read_line(supply / "scope");
  return type.ok() && *type == "Battery" && !(scope.ok() && *scope == "Device");
}

}  // namespace

BatteryMeters find_battery_meters(const fs::path& root, const Clock& clock) {
  BatteryMeters out;
  for (const fs::path& supply : entries_of(root)) {
    if (!is_of_the_machine(supply)) continue;
    MeterInfo info;
    info.name = base::str_cat("battery-", supply.filename().string());
    info.scope = "whole machine (battery)";
    info.domain = Domain::kMachine;
    info.method =
        base::str_cat("integral (trapezoid, every ", kPowerSampleSeconds, " s) of what battery ",
                      supply.filename().string(), " says that it gives");
    const std::string name = info.name;
    auto meter = make_integrating_meter(
        std::move(info), {.watts = [supply] { return battery_watts(supply); }, .conditions = {}},
        clock);
    if (const auto first = meter->read(); !first.ok()) {
      out.unavailable.push_back({name, std::string(first.status().message())});
      continue;
    }
    out.machines.push_back(std::move(meter));
  }
  return out;
}

}  // namespace frugal::energy
