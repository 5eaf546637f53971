#include "energy/integrating_meter.h"

#include <cmath>
#include <numbers>

#include "energy/window.h"
#include "fakes.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

// A power as a function of time, replayed to a meter and a window that are polled at their rhythm.
class TraceTest : public testing::Test {
 protected:
  using Power = std::function<absl::StatusOr<double>(double seconds)>;
  MeterSet set_of(Power power) {
    MeterInfo info;
    info.name = "trace";
    info.scope = "trace";
    info.method = "replayed";
    begin_ = clock_.now;
    std::vector<std::unique_ptr<Meter>> meters;
    meters.push_back(make_integrating_meter(
        info, {.watts = [this, power] { return power(clock_.now - begin_); }, .conditions = {}},
        clock_));
    return MeterSet(std::move(meters), {}, {&clock_, 0});
  }
  MeterWindow replay(Power power, double seconds, double step = kPowerSampleSeconds) {
    MeterSet set = set_of(std::move(power));
    Window window = set.begin("trace");
    const auto steps = static_cast<int64_t>(std::llround(seconds / step));
    for (int64_t i = 1; i < steps; ++i) {
      clock_.now = begin_ + static_cast<double>(i) * step;
      set.poll();
    }
    clock_.now = begin_ + seconds;
    return window.end().meters[0];
  }
  FakeClock clock_;
  double begin_ = 0;
};

// Equal samples in a row are samples: a meter that drops them says 0 J here.
TEST_F(TraceTest, AConstantPowerIsItsProductWithTime) {
  const MeterWindow window = replay([](double) { return 100.0; }, 25);
  EXPECT_NEAR(*window.joules, 2500, 1e-3);
  EXPECT_EQ(window.updates, 250);
  EXPECT_TRUE(window.marks.empty());
}

TEST_F(TraceTest, AStepCostsAtMostHalfASampleOfIt) {
  const MeterWindow window = replay([](double t) { return t < 5.03 ? 100.0 : 400.0; }, 10);
  const double exact = 5.03 * 100 + 4.97 * 400;
  EXPECT_NEAR(*window.joules, exact, 300 * kPowerSampleSeconds / 2 + 1e-3);
}

// Against integrals in closed form: within 2%.
TEST_F(TraceTest, AnIndependentIntegralAgrees) {
  for (const double period : {0.7, 2.0, 9.0}) {
    const double rate = 2 * std::numbers::pi / period;
    const auto power = [&](double t) { return 200 + 150 * std::sin(rate * t) + 5 * t; };
    const double seconds = 12.3;
    const double exact =
        200 * seconds + 150 * (1 - std::cos(rate * seconds)) / rate + 2.5 * seconds * seconds;
    EXPECT_NEAR(*replay(power, seconds).joules / exact, 1, 0.02) << period;
  }
}

TEST_F(TraceTest, AShortGapIsBridgedAndMarksTheWindow) {
  const auto power = [](double t) -> absl::StatusOr<double> {
    if (t > 30.05 && t < 30.25) return base::failed("bus error");
    return 100.0;
  };
  const MeterWindow window = replay(power, 60);
  EXPECT_NEAR(*window.joules, 6000, 1e-3);
  EXPECT_EQ(window.gaps, 1);
  EXPECT_NEAR(window.gap_seconds, 0.3, 1e-9);
  EXPECT_THAT(window.marks, testing::ElementsAre(kGaps));
}

TEST_F(TraceTest, AnIntegralWithoutSamplesIsUnknown) {
  const auto failing = [](double t) -> absl::StatusOr<double> {
    if (t > 3 && t < 6) return base::failed("bus error");
    return 100.0;
  };
  const MeterWindow failed = replay(failing, 10);
  EXPECT_EQ(failed.joules, std::nullopt);
  EXPECT_THAT(failed.reason, testing::HasSubstr("its power was not told for 3"));
  const MeterWindow late = replay([](double) { return 100.0; }, 30, 3.0);  // nobody polled
  EXPECT_EQ(late.joules, std::nullopt);
  const MeterWindow lost = replay(
      [](double t) -> absl::StatusOr<double> {
        if (t > 9.95) return base::failed("bus error");
        return 100.0;
      },
      10);
  EXPECT_EQ(lost.joules, std::nullopt);
  EXPECT_THAT(lost.reason, testing::HasSubstr("the last reading failed: bus error"));
}

TEST_F(TraceTest, AnImpossiblePowerIsAnError) {
  MeterInfo info;
  info.scope = "x";
  const auto meter =
      make_integrating_meter(info, {.watts = [] { return -1.0; }, .conditions = {}}, clock_);
  FRUGAL_EXPECT_ERROR(meter->read(), absl::StatusCode::kDataLoss, "a power of -1 W");
}

}  // namespace
}  // namespace frugal::energy
