#include "energy/hwmon_meter.h"

#include <optional>
#include <string>
#include <utility>

#include "energy/integrating_meter.h"
#include "energy/sysfs.h"

namespace frugal::energy {
namespace fs = std::filesystem;
namespace {

using base::str_cat;

// A counter in microjoules that grows for as long as the driver is loaded.
class CounterFile : public Meter {
 public:
  CounterFile(MeterInfo info, fs::path counter, fs::path chip, const Clock& clock);
  const MeterInfo& info() const override { return info_; }
  absl::StatusOr<Reading> read() override {
    FRUGAL_ASSIGN_OR_RETURN(const uint64_t raw, read_count(counter_));
    return Reading{raw, clock_.seconds()};
  }
  base::Json conditions() override;

 private:
  MeterInfo info_;
  fs::path counter_, chip_;
  const Clock& clock_;
};

// What a chip tells beside its energy, in hwmon's units: m°C, uW, Hz.
base::Json conditions_of(const fs::path& chip) {
  struct Value {
    const char* file;
    const char* name;
    double factor;
  };
  constexpr Value kValues[] = {{"temp1_input", "temperature_celsius", 1e-3},
                               {"power1_cap", "power_limit_watts", 1e-6},
                               {"freq1_input", "clock_mhz", 1e-6},
                               {"freq2_input", "memory_clock_mhz", 1e-6}};
  base::Json out = base::Json::object();
  for (const Value& value : kValues) {
    if (const auto raw = read_count(chip / value.file); raw.ok())
      out[value.name] = static_cast<double>(*raw) * value.factor;
  }
  return out;
}

// The file that tells the power, where there is one: the driver's own average before the moment.
std::optional<fs::path> power_file(const fs::path& chip) {
  std::error_code error;
  for (const char* name : {"power1_average", "power1_input"}) {
    if (fs::exists(chip / name, error)) return chip / name;
  }
  return std::nullopt;
}

absl::StatusOr<double> read_watts(const fs::path& file) {
  FRUGAL_ASSIGN_OR_RETURN(const uint64_t microwatts, read_count(file));
  return static_cast<double>(microwatts) * 1e-6;
}

CounterFile::CounterFile(MeterInfo info, fs::path counter, fs::path chip, const Clock& clock)
    : info_(std::move(info)), counter_(std::move(counter)), chip_(std::move(chip)), clock_(clock) {}

base::Json CounterFile::conditions() { return conditions_of(chip_); }

absl::StatusOr<std::unique_ptr<Meter>> counter_meter(MeterInfo info, const fs::path& file,
                                                     const fs::path& chip, const Clock& clock) {
  info.unit = "uJ";
  info.joules_per_unit = 1e-6;
  info.method =
      str_cat("energy counter ", file.filename().string(), " of hwmon ", chip.filename().string());
  auto meter = std::make_unique<CounterFile>(std::move(info), file, chip, clock);
  if (const auto first = meter->read(); !first.ok()) return with_remedy(first.status(), file);
  return meter;
}

absl::StatusOr<std::unique_ptr<Meter>> power_meter(MeterInfo info, const fs::path& file,
                                                   const fs::path& chip, const Clock& clock) {
  info.method = str_cat("integral (trapezoid, every ", kPowerSampleSeconds, " s) of ",
                        file.filename().string(), " of hwmon ", chip.filename().string());
  auto meter = make_integrating_meter(std::move(info),
                                      {.watts = [file] { return read_watts(file); },
                                       .conditions = [chip] { return conditions_of(chip); }},
                                      clock);
  if (const auto first = meter->read(); !first.ok()) return with_remedy(first.status(), file);
  return meter;
}

// "0000:03:00.0" of the link to the PCI device; else the chip's own name.
std::string bus_of(const fs::path& chip) {
  std::error_code error;
  const fs::path link = fs::read_symlink(chip / "device", error);
  return error ? chip.filename().string() : link.filename().string();
}

class Finder {
 public:
  Finder(const Clock& clock, HwmonMeters* out) : clock_(clock), out_(out) {}

  void look_at(const fs::path& chip) {
    const auto name = read_line(chip / "name");
    if (!name.ok()) return;
    if (*name == "amdgpu") gpu(chip);
    if (*name == "amd_energy") sockets(chip);
    if (*name == "power_meter") machine(chip);
  }

 private:
  void gpu(const fs::path& chip) {
    const std::string name = str_cat("gpu-amd-", gpus_++);
    MeterInfo info;
    info.name = name;
    info.scope = str_cat("AMD GPU ", bus_of(chip), " board");
    info.domain = Domain::kGpu;
    std::error_code error;
    if (const fs::path counter = chip / "energy1_input"; fs::exists(counter, error)) {
      auto meter = counter_meter(info, counter, chip, clock_);
      if (meter.ok()) return keep(*std::move(meter), &out_->gpus);
    }
    const auto power = power_file(chip);
    if (!power) {
      out_->unavailable.push_back(
          {name, str_cat(info.scope, ": its driver tells neither energy nor power")});
      return;
    }
    add(name, power_meter(std::move(info), *power, chip, clock_), &out_->gpus);
  }

  // energy<N>_input, of which energy<N>_label says "Esocket0"; cores are parts of their socket.
  void sockets(const fs::path& chip) {
    for (const fs::path& path : entries_of(chip)) {
      const std::string file = path.filename().string();
      constexpr std::string_view kLabel = "_label", kSocket = "Esocket";
      if (!file.starts_with("energy") || !file.ends_with(kLabel)) continue;
      const auto label = read_line(path);
      if (!label.ok() || !label->starts_with(kSocket)) continue;
      MeterInfo info;
      const std::string number = label->substr(kSocket.size());
      info.name = str_cat("cpu-socket-", number);
      info.scope = str_cat("CPU socket ", number);
      const std::string name = info.name;
      const fs::path counter =
          chip / str_cat(file.substr(0, file.size() - kLabel.size()), "_input");
      add(name, counter_meter(std::move(info), counter, chip, clock_), &out_->sockets);
    }
  }

  void machine(const fs::path& chip) {
    const std::string name = str_cat("machine-", machines_++);
    MeterInfo info;
    info.name = name;
    info.scope = "whole machine (ACPI power meter)";
    info.domain = Domain::kMachine;
    const auto power = power_file(chip);
    if (!power) return;  // a chip that only limits
    add(name, power_meter(std::move(info), *power, chip, clock_), &out_->machines);
  }

  void add(const std::string& name, absl::StatusOr<std::unique_ptr<Meter>> meter,
           std::vector<std::unique_ptr<Meter>>* to) {
    if (meter.ok()) return keep(*std::move(meter), to);
    out_->unavailable.push_back({name, std::string(meter.status().message())});
  }

  static void keep(std::unique_ptr<Meter> meter, std::vector<std::unique_ptr<Meter>>* to) {
    to->push_back(std::move(meter));
  }

  const Clock& clock_;
  HwmonMeters* out_;
  int gpus_ = 0, machines_ = 0;
};

}  // namespace

HwmonMeters find_hwmon_meters(const fs::path& root, const Clock& clock) {
  HwmonMeters out;
  Finder finder(clock, &out);
  for (const fs::path& chip : entries_of(root)) finder.look_at(chip);
  return out;
}

}  // namespace frugal::energy
