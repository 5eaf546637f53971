#include <atomic>
#include <cmath>
#include <thread>

#include "energy/window.h"
#include "fakes.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

class MeterSetTest : public testing::Test {
 protected:
  // A set of one meter without a thread: time and polls are the test's.
  MeterSet set_of(MeterInfo info) {
    std::vector<std::unique_ptr<Meter>> meters;
    meters.push_back(std::make_unique<FakeMeter>(std::move(info), counter_, clock_));
    return MeterSet(std::move(meters), {}, {&clock_, 0});
  }
  static MeterInfo wrapping_at(uint64_t units) {
    MeterInfo info = fake_info("m");
    info.wrap_units = units;
    return info;
  }
  // A counter whose device also tells its power.
  MeterSet set_with_power(double watts) {
    MeterInfo info = fake_info("m");
    info.sample_seconds = 0.1;
    counter_->watts = watts;
    return set_of(std::move(info));
  }
  void pass(double seconds, uint64_t units) {
    clock_.now += seconds;
    counter_->raw += units;
  }
  FakeClock clock_;
  std::shared_ptr<FakeCounter> counter_ = std::make_shared<FakeCounter>();
};

TEST_F(MeterSetTest, AWindowHoldsJoulesPowerAndRawReadings) {
  counter_->raw = 1000;
  MeterSet set = set_of(fake_info("m"));
  Window window = set.begin("work");
  pass(10, 50000);
  const WindowResult result = window.end();
  EXPECT_EQ(result.name, "work");
  EXPECT_EQ(result.seconds, 10);
  EXPECT_EQ(result.begin_time, "2026-01-01T00:00:10Z");
  EXPECT_EQ(result.end_time, "2026-01-01T00:00:20Z");
  const MeterWindow& meter = result.meters.at(0);
  EXPECT_EQ(meter.begin->raw, 1000u);
  EXPECT_EQ(meter.end->raw, 51000u);
  EXPECT_EQ(meter.joules, 50);
  EXPECT_EQ(meter.mean_watts, 5);
  EXPECT_EQ(meter.updates, 100);
  EXPECT_TRUE(meter.warnings.empty());
  EXPECT_EQ(meter.conditions_begin["temperature_celsius"], 40);
  EXPECT_EQ(window.end().meters.size(), 0u);  // spent
}

TEST_F(MeterSetTest, WindowsNestAndOverlap) {
  MeterSet set = set_of(fake_info("m"));
  Window outer = set.begin("outer");
  pass(10, 1000);
  Window inner = set.begin("inner");
  pass(10, 2000);
  Window overlapping = set.begin("overlapping");
  pass(10, 4000);
  EXPECT_EQ(inner.end().meters[0].joules, 6);
  pass(10, 8000);
  EXPECT_EQ(outer.end().meters[0].joules, 15);
  pass(10, 16000);
  EXPECT_EQ(overlapping.end().meters[0].joules, 28);
}

TEST_F(MeterSetTest, ThePowerOfTheMomentComesFromReadingsThatWereMadeAnyway) {
  MeterInfo info = fake_info("m");
  MeterSet set = set_of(info);
  EXPECT_EQ(set.recent_watts(), std::nullopt);
  EXPECT_EQ(set.recent_watts_text(), "");
  Window window = set.begin("work");
  pass(1, 34000);
  EXPECT_EQ(set.recent_watts(), std::nullopt);  // asking reads nothing
  set.poll();
  EXPECT_EQ(set.recent_watts(), 34);
  EXPECT_EQ(set.recent_watts_text(), "34 W");
  counter_->failure = base::failed("bus error");
  set.poll();
  EXPECT_EQ(set.recent_watts_text(), "");
  info.provenance = Provenance::kModelled;
  counter_->failure = absl::OkStatus();
  MeterSet modelled = set_of(info);
  Window other = modelled.begin("work");
  pass(2, 9000);
  modelled.poll();
  EXPECT_EQ(modelled.recent_watts_text(), "~4.5 W");
  EXPECT_EQ(MeterSet({}, {}, {&clock_, 0}).recent_watts_text(), "");
}

TEST_F(MeterSetTest, AFailedReadingIsUnknownAndSaysWhy) {
  MeterSet set = set_of(fake_info("m"));
  Window lost_end = set.begin("a");
  pass(10, 1000);
  counter_->failure = base::failed("bus error");
  const MeterWindow first = lost_end.end().meters[0];
  EXPECT_EQ(first.joules, std::nullopt);
  EXPECT_EQ(first.end, std::nullopt);
  EXPECT_THAT(first.reason, testing::HasSubstr("the last reading failed: bus error"));
  Window lost_begin = set.begin("b");
  counter_->failure = absl::OkStatus();
  pass(10, 1000);
  const MeterWindow second = lost_begin.end().meters[0];
  EXPECT_EQ(second.joules, std::nullopt);
  EXPECT_THAT(second.reason, testing::HasSubstr("the first reading failed: bus error"));
}

// One dropped reading in the middle must not be taken for a zero and a wrap.
TEST_F(MeterSetTest, ADroppedReadingInTheMiddleCostsNothing) {
  counter_->raw = 100000000;
  MeterSet set = set_of(wrapping_at(262143328));
  Window window = set.begin("work");
  pass(5, 2000);
  counter_->failure = base::failed("bus error");
  set.poll();
  counter_->failure = absl::OkStatus();
  pass(5, 3000);
  const MeterWindow meter = window.end().meters[0];
  EXPECT_EQ(meter.joules, 5);
  EXPECT_EQ(meter.wraps, 0);
  EXPECT_EQ(meter.gaps, 1);  // and the window says so
  EXPECT_EQ(meter.gap_seconds, 10);
  EXPECT_THAT(meter.marks, testing::ElementsAre(kGaps));
}

TEST_F(MeterSetTest, TheCounterIsCheckedAgainstItsPower) {
  for (const double watts : {100.0, 105.0, 150.0}) {
    MeterSet set = set_with_power(watts);
    Window window = set.begin("work");
    for (int i = 0; i < 100; ++i) {
      pass(0.1, 10000);  // 100 W
      set.poll();
    }
    const MeterWindow meter = window.end().meters[0];
    EXPECT_NEAR(*meter.joules, 1000, 1e-9);
    ASSERT_TRUE(meter.integrated_joules.has_value());
    EXPECT_NEAR(*meter.integrated_joules, 10 * watts, 1e-6);
    EXPECT_EQ(meter.marks.size(), watts > 110 ? 1u : 0u) << watts;
    if (watts > 110) {
      EXPECT_EQ(meter.marks[0], kDisagrees);
    }
  }
}

// A load that rises, falls and bursts, under the injected clock: what the counter counted against
// an integral of the power that was sampled beside it.
TEST_F(MeterSetTest, AnIndependentIntegralOfAMovingLoadIsWithinTwoPercentOfTheCounter) {
  MeterSet set = set_with_power(0);
  const auto power = [](double t) {
    return 120 + 80 * std::sin(1.7 * t) + (std::fmod(t, 3) < 1 ? 90 : 0);
  };
  constexpr int kStepsPerSample = 100;  // the device integrates a hundred times as finely
  constexpr double kSample = 0.1;
  double joules = 0, t = 0;
  counter_->watts = power(0);
  Window window = set.begin("work");
  for (int sample = 0; sample < 300; ++sample) {
    for (int i = 0; i < kStepsPerSample; ++i) {
      joules += power(t) * kSample / kStepsPerSample;
      t += kSample / kStepsPerSample;
    }
    clock_.now += kSample;
    counter_->raw = static_cast<uint64_t>(std::llround(joules * 1e3));
    counter_->watts = power(t);
    set.poll();
  }
  const MeterWindow meter = window.end().meters[0];
  ASSERT_TRUE(meter.joules && meter.integrated_joules);
  EXPECT_NEAR(*meter.integrated_joules / *meter.joules, 1, 0.02);
  EXPECT_TRUE(meter.marks.empty());
}

TEST_F(MeterSetTest, APowerThatIsNotAlwaysToldIsNoCrossCheck) {
  MeterSet set = set_with_power(100);
  Window window = set.begin("work");
  pass(5, 500000);
  counter_->watts = std::nullopt;
  set.poll();
  counter_->watts = 100;
  pass(5, 500000);
  EXPECT_EQ(window.end().meters[0].integrated_joules, std::nullopt);
}

TEST_F(MeterSetTest, WrapsAreFollowedByPolling) {
  counter_->raw = 65000000;
  MeterSet set = set_of(wrapping_at(65536000));  // 65,536 J
  Window window = set.begin("work");
  uint64_t total = 0;
  for (int i = 0; i < 100; ++i) {  // 2.5 kJ every 10 s: 250 kJ, nearly four times around
    clock_.now += 10;
    total += 2500000;
    counter_->raw = (65000000 + total) % 65536000;
    set.poll();
  }
  const MeterWindow meter = window.end().meters[0];
  EXPECT_EQ(meter.wraps, 4);
  EXPECT_EQ(meter.joules, 250000);
  EXPECT_EQ(meter.mean_watts, 250);
}

TEST_F(MeterSetTest, AWindowThatMayHaveWrappedUnseenIsUnknown) {
  MeterSet set = set_of(wrapping_at(65536000));
  Window window = set.begin("work");
  pass(600, 1000);
  const MeterWindow meter = window.end().meters[0];
  EXPECT_EQ(meter.joules, std::nullopt);
  EXPECT_THAT(meter.reason, testing::HasSubstr("may have wrapped unseen"));
}

TEST_F(MeterSetTest, AResetIsNoWrap) {
  for (const bool wraps : {false, true}) {
    counter_->raw = 5000000;
    MeterSet set = set_of(wraps ? wrapping_at(262143328) : fake_info("m"));
    Window window = set.begin("work");
    clock_.now += 10;
    counter_->raw = 0;  // would be 257 kJ in 10 s
    set.poll();
    pass(10, 60000);
    const MeterWindow meter = window.end().meters[0];
    EXPECT_EQ(meter.joules, std::nullopt) << wraps;
    EXPECT_THAT(meter.reason, testing::HasSubstr("went backwards"));
    Window later = set.begin("later");  // the next window is good again
    pass(10, 60000);
    EXPECT_EQ(later.end().meters[0].joules, 60);
  }
}

TEST_F(MeterSetTest, ACounterThatDoesNotMoveIsUnknown) {
  MeterSet set = set_of(fake_info("m"));
  Window window = set.begin("work");
  clock_.now += 0.05;
  const MeterWindow meter = window.end().meters[0];
  EXPECT_EQ(meter.joules, std::nullopt);
  EXPECT_THAT(meter.reason, testing::HasSubstr("did not move within 50 ms"));
  MeterInfo modelled = fake_info("model");
  modelled.provenance = Provenance::kModelled;
  MeterSet model_set = set_of(modelled);
  Window idle = model_set.begin("idle");
  clock_.now += 1;
  EXPECT_EQ(idle.end().meters[0].joules, 0);  // no CPU time was used: the model says zero
}

TEST_F(MeterSetTest, ShortWindowsAreWarnedAbout) {
  MeterSet set = set_of(fake_info("m"));
  Window window = set.begin("work");
  pass(1, 1000);
  const MeterWindow meter = window.end().meters[0];
  EXPECT_EQ(meter.joules, 1);
  EXPECT_THAT(meter.marks, testing::ElementsAre(kShort));
  ASSERT_EQ(meter.warnings.size(), 1u);
  EXPECT_THAT(meter.warnings[0],
              testing::HasSubstr("1.0 s is short (the counter moved about 10 times)"));
}

TEST_F(MeterSetTest, PeakPowerAndSamplesComeFromPolls) {
  MeterSet set = set_of(fake_info("m"));
  Window window = set.begin("work");
  for (const uint64_t units : {1000, 1000, 7000, 1000}) {
    pass(1, units);
    set.poll();
  }
  const MeterWindow meter = window.end().meters[0];
  EXPECT_EQ(meter.peak_watts, 7);
  EXPECT_EQ(meter.mean_watts, 2.5);
  ASSERT_GE(meter.samples.size(), 4u);
  EXPECT_EQ(meter.samples[2].seconds, 3);
  EXPECT_EQ(meter.samples[2].joules, 9);
}

TEST_F(MeterSetTest, SamplesAreThinnedEvenly) {
  MeterSet set = set_of(fake_info("m"));
  Window window = set.begin("work");
  for (int i = 0; i < 5000; ++i) {
    pass(1, 1000);
    set.poll();
  }
  const MeterWindow meter = window.end().meters[0];
  ASSERT_LE(meter.samples.size(), kMaxSamples);
  ASSERT_GE(meter.samples.size(), kMaxSamples / 2 - 1);
  const double step = meter.samples[1].seconds - meter.samples[0].seconds;
  for (size_t i = 1; i < meter.samples.size(); ++i) {
    EXPECT_DOUBLE_EQ(meter.samples[i].seconds - meter.samples[i - 1].seconds, step);
    EXPECT_DOUBLE_EQ(meter.samples[i].joules, meter.samples[i].seconds);
  }
}

TEST_F(MeterSetTest, IdleIsAWindowOfDoingNothing) {
  MeterSet set = set_of(fake_info("m"));
  clock_.on_sleep = [&](double seconds) { counter_->raw += static_cast<uint64_t>(2000 * seconds); };
  const WindowResult idle = set.measure_idle(6);
  EXPECT_EQ(idle.name, "idle");
  EXPECT_EQ(idle.meters[0].mean_watts, 2);
}

TEST_F(MeterSetTest, AWindowMayOutliveItsSetOrBeForgotten) {
  auto set = std::make_unique<MeterSet>(set_of(fake_info("m")));
  Window window = set->begin("kept");
  {
    const Window forgotten = set->begin("forgotten");
  }
  set->poll();  // the forgotten one is no longer written to
  set.reset();
  pass(10, 1000);
  EXPECT_EQ(window.end().meters[0].joules, 1);
}

// With the thread, on the real clock, from several threads: nothing to assert on time, TSan and
// ASan look on.
TEST_F(MeterSetTest, TheSamplerAndManyThreadsAgree) {
  struct Counting : Meter {
    MeterInfo own = fake_info("counting");
    std::atomic<uint64_t> raw{0};
    const MeterInfo& info() const override { return own; }
    absl::StatusOr<Reading> read() override {
      return Reading{raw += 1000, system_clock().seconds()};
    }
  };
  std::vector<std::unique_ptr<Meter>> meters;
  meters.push_back(std::make_unique<Counting>());
  MeterSetOptions options;
  options.sample_seconds = 0.001;
  MeterSet set(std::move(meters), {}, options);
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        Window window = set.begin("work");
        set.poll();
        const WindowResult result = window.end();
        // Every reading adds a joule; a window sees at least its own poll and end.
        if (result.meters[0].joules.value_or(0) >= 2 && verify_window(result, "t").ok()) ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 200);
}

}  // namespace
}  // namespace frugal::energy
