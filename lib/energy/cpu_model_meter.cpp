#include "energy/cpu_model_meter.h"

#include <cmath>
#include <cstdio>
#include <utility>

#include "base/process.h"
#include "energy/cpu_table.h"

namespace frugal::energy {
namespace {

class CpuModelMeter : public Meter {
 public:
  CpuModelMeter(MeterInfo info, const Clock& clock, std::function<double()> cpu_seconds)
      : info_(std::move(info)), clock_(clock), cpu_seconds_(std::move(cpu_seconds)) {}

  const MeterInfo& info() const override { return info_; }

  absl::StatusOr<Reading> read() override {
    const double seconds = cpu_seconds_();
    if (!(seconds >= 0)) return base::failed("cannot read the CPU time of this process");
    return Reading{static_cast<uint64_t>(std::llround(seconds * 1e9)), clock_.seconds()};
  }

 private:
  MeterInfo info_;
  const Clock& clock_;
  std::function<double()> cpu_seconds_;
};

ThreadPower power_by(const std::optional<HardwareProfile>& profile, const CpuIdentity& cpu) {
  if (!profile || !profile->tdp_watts || !profile->threads) return thread_power(cpu);
  return thread_power_of(
      *profile->tdp_watts, *profile->threads, profile->load_factor,
      base::str_cat(*profile->tdp_watts, " W / ", *profile->threads, " threads × load factor ",
                    profile->load_factor, " of ", profile->name, " (", profile->source, ", ",
                    profile->year, ")"));
}

std::string watts_text(double watts) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", watts);
  return text;
}

}  // namespace

std::unique_ptr<Meter> make_cpu_model_meter(const std::optional<HardwareProfile>& profile,
                                            const CpuIdentity& cpu, const Clock& clock,
                                            std::function<double()> cpu_seconds) {
  const ThreadPower power = power_by(profile, cpu);
  MeterInfo info;
  info.name = "cpu-model";
  info.scope = base::str_cat("CPU (model), this process",
                             cpu.name.empty() ? "" : base::str_cat(", ", cpu.name));
  info.domain = Domain::kCpu;
  info.provenance =
      power.match == ThreadPower::Match::kUnknown ? Provenance::kAssumed : Provenance::kModelled;
  info.unit = "CPU ns";
  info.whole_device = false;
  info.method = base::str_cat("CPU seconds of this process and its finished children × ",
                              power.basis, "; it may be from ", watts_text(power.range.low), " to ",
                              watts_text(power.range.high), " W");
  info.joules_per_unit = power.watts * 1e-9;
  info.joules_per_unit_range = scaled(power.range, 1e-9);
  if (!cpu_seconds) cpu_seconds = base::cpu_seconds;
  return std::make_unique<CpuModelMeter>(std::move(info), clock, std::move(cpu_seconds));
}

}  // namespace frugal::energy
