#include "energy/cpu_model_meter.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/process.h"

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

}  // namespace

std::unique_ptr<Meter> make_cpu_model_meter(const std::optional<HardwareProfile>& profile,
                                            const Clock& clock,
                                            std::function<double()> cpu_seconds) {
  MeterInfo info;
  info.name = "cpu-model";
  const std::string cpu = base::cpu_model_name();
  info.scope =
      base::str_cat("CPU (model), this process", cpu.empty() ? "" : base::str_cat(", ", cpu));
  info.domain = Domain::kCpu;
  info.provenance = Provenance::kModelled;
  info.unit = "CPU ns";
  info.whole_device = false;
  double watts_per_thread = kAssumedWattsPerThread;
  std::string constant =
      base::str_cat("assumed ", kAssumedWattsPerThread, " W per hardware thread (CPU unknown)");
  if (profile && profile->tdp_watts && profile->threads) {
    watts_per_thread =
        *profile->tdp_watts / static_cast<double>(*profile->threads) * profile->load_factor;
    constant = base::str_cat(*profile->tdp_watts, " W / ", *profile->threads,
                             " threads × load factor ", profile->load_factor, " of ", profile->name,
                             " (", profile->source, ", ", profile->year, ")");
  }
  info.method = base::str_cat("CPU seconds of this process and its finished children × ", constant);
  info.joules_per_unit = watts_per_thread * 1e-9;
  if (!cpu_seconds) cpu_seconds = base::cpu_seconds;
  return std::make_unique<CpuModelMeter>(std::move(info), clock, std::move(cpu_seconds));
}

}  // namespace frugal::energy
