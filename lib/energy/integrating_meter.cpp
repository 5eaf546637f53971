#include "energy/integrating_meter.h"

#include <cmath>
#include <utility>

namespace frugal::energy {
namespace {

class IntegratingMeter : public Meter {
 public:
  IntegratingMeter(MeterInfo info, PowerSource source, const Clock& clock)
      : info_(std::move(info)), source_(std::move(source)), clock_(clock) {}

  const MeterInfo& info() const override { return info_; }

  absl::StatusOr<Reading> read() override {
    FRUGAL_ASSIGN_OR_RETURN(const double watts, source_.watts());
    const double now = clock_.seconds();
    if (!(watts >= 0) || !std::isfinite(watts))
      return base::data_loss(info_.scope, ": a power of ", watts, " W");
    if (last_) joules_ += (last_->watts + watts) / 2 * (now - last_->seconds);
    last_ = Sample{watts, now};
    return Reading{static_cast<uint64_t>(std::llround(joules_ * 1e6)), now};
  }

  base::Json conditions() override {
    return source_.conditions ? source_.conditions() : base::Json::object();
  }

 private:
  struct Sample {
    double watts, seconds;
  };
  MeterInfo info_;
  PowerSource source_;
  const Clock& clock_;
  std::optional<Sample> last_;
  double joules_ = 0;
};

}  // namespace

std::unique_ptr<Meter> make_integrating_meter(MeterInfo info, PowerSource source,
                                              const Clock& clock) {
  info.unit = "uJ";
  info.joules_per_unit = 1e-6;
  info.sample_seconds = kPowerSampleSeconds;
  return std::make_unique<IntegratingMeter>(std::move(info), std::move(source), clock);
}

}  // namespace frugal::energy
