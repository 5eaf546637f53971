#include "energy/cpu_conditions.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "energy/sysfs.h"

namespace frugal::energy {
namespace fs = std::filesystem;
namespace {

// Kilohertz in scaling_cur_freq.
std::optional<double> mean_clock_mhz(const fs::path& cpu_root) {
  double sum = 0;
  int64_t count = 0;
  for (const fs::path& cpu : entries_of(cpu_root)) {
    const std::string name = cpu.filename().string();
    if (!name.starts_with("cpu") || name.find_first_not_of("0123456789", 3) != std::string::npos)
      continue;
    const auto kilohertz = read_count(cpu / "cpufreq" / "scaling_cur_freq");
    if (!kilohertz.ok()) continue;
    sum += static_cast<double>(*kilohertz) / 1e3;
    ++count;
  }
  if (count == 0) return std::nullopt;
  return sum / static_cast<double>(count);
}

// temp1 is the package's in coretemp, and Tctl in AMD's drivers. Millidegrees.
std::optional<double> package_celsius(const fs::path& hwmon_root) {
  std::optional<double> hottest;
  for (const fs::path& chip : entries_of(hwmon_root)) {
    const auto name = read_line(chip / "name");
    if (!name.ok() || (*name != "coretemp" && *name != "k10temp" && *name != "zenpower")) continue;
    const auto millidegrees = read_count(chip / "temp1_input");
    if (!millidegrees.ok()) continue;
    const double celsius = static_cast<double>(*millidegrees) / 1e3;
    hottest = std::max(hottest.value_or(celsius), celsius);
  }
  return hottest;
}

class MeterWithConditions : public Meter {
 public:
  MeterWithConditions(std::unique_ptr<Meter> meter, fs::path cpu_root, fs::path hwmon_root)
      : meter_(std::move(meter)),
        cpu_root_(std::move(cpu_root)),
        hwmon_root_(std::move(hwmon_root)) {}
  const MeterInfo& info() const override { return meter_->info(); }
  absl::StatusOr<Reading> read() override { return meter_->read(); }
  std::optional<double> watts() override { return meter_->watts(); }
  base::Json conditions() override {
    base::Json out = cpu_conditions(cpu_root_, hwmon_root_);
    out.update(meter_->conditions());
    return out;
  }

 private:
  std::unique_ptr<Meter> meter_;
  fs::path cpu_root_, hwmon_root_;
};

}  // namespace

base::Json cpu_conditions(const fs::path& cpu_root, const fs::path& hwmon_root) {
  base::Json out = base::Json::object();
  if (const auto clock = mean_clock_mhz(cpu_root)) out["clock_mhz"] = *clock;
  if (const auto celsius = package_celsius(hwmon_root)) out["temperature_celsius"] = *celsius;
  return out;
}

std::unique_ptr<Meter> with_cpu_conditions(std::unique_ptr<Meter> meter, fs::path cpu_root,
                                           fs::path hwmon_root) {
  return std::make_unique<MeterWithConditions>(std::move(meter), std::move(cpu_root),
                                               std::move(hwmon_root));
}

}  // namespace frugal::energy
