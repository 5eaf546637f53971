// A clock and a meter that do what the test says.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "energy/meter.h"

namespace frugal::energy {

class FakeClock : public Clock {
 public:
  double seconds() const override { return now; }
  void sleep(double seconds) const override {
    now += seconds;
    if (on_sleep) on_sleep(seconds);
  }
  std::string utc_time() const override { return base::str_cat("2026-01-01T00:00:", now, "Z"); }
  mutable double now = 10;
  std::function<void(double)> on_sleep;
};

// The test holds the state, the meter only looks at it.
struct FakeCounter {
  uint64_t raw = 0;
  absl::Status failure;
  std::optional<double> watts;  // for the cross-check
};

class FakeMeter : public Meter {
 public:
  FakeMeter(MeterInfo info, std::shared_ptr<FakeCounter> counter, const Clock& clock)
      : info_(std::move(info)), counter_(std::move(counter)), clock_(clock) {}
  const MeterInfo& info() const override { return info_; }
  absl::StatusOr<Reading> read() override {
    if (!counter_->failure.ok()) return counter_->failure;
    return Reading{counter_->raw, clock_.seconds()};
  }
  base::Json conditions() override { return {{"temperature_celsius", 40}}; }
  std::optional<double> watts() override { return counter_->watts; }

 private:
  MeterInfo info_;
  std::shared_ptr<FakeCounter> counter_;
  const Clock& clock_;
};

// A measured counter of the whole device in millijoules that moves every 100 ms.
inline MeterInfo fake_info(std::string name) {
  MeterInfo info;
  info.scope = "scope of " + name;
  info.name = std::move(name);
  info.method = "fake";
  info.unit = "mJ";
  info.joules_per_unit = 1e-3;
  info.update_seconds = 0.1;
  return info;
}

}  // namespace frugal::energy
