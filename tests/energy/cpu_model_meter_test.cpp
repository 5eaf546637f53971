#include "energy/cpu_model_meter.h"

#include <limits>

#include "fakes.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

TEST(CpuModelMeter, CountsCpuTimeAtTheProfilesPower) {
  HardwareProfile profile;
  profile.name = "Example 9000";
  profile.source = "data sheet";
  profile.year = 2024;
  profile.tdp_watts = 128;
  profile.threads = 64;
  profile.load_factor = 0.75;
  const FakeClock clock;
  double used = 2.5;
  const auto meter = make_cpu_model_meter(profile, clock, [&] { return used; });
  EXPECT_EQ(meter->info().provenance, Provenance::kModelled);
  EXPECT_FALSE(meter->info().whole_device);
  EXPECT_DOUBLE_EQ(meter->info().joules_per_unit, 1.5e-9);  // 128 W / 64 · 0.75 per CPU second
  EXPECT_THAT(meter->info().method, testing::HasSubstr("128 W / 64 threads"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Reading reading, meter->read());
  EXPECT_EQ(reading.raw, 2500000000u);
  EXPECT_EQ(reading.seconds, 10);
}

TEST(CpuModelMeter, SaysWhatItAssumes) {
  const FakeClock clock;
  const auto meter = make_cpu_model_meter(std::nullopt, clock);
  EXPECT_DOUBLE_EQ(meter->info().joules_per_unit, kAssumedWattsPerThread * 1e-9);
  EXPECT_THAT(meter->info().method, testing::HasSubstr("assumed 4 W per hardware thread"));
  EXPECT_GT(meter->read().value().raw, 0u);  // this process has used some
}

TEST(CpuModelMeter, AnUnknownTimeIsAnError) {
  const FakeClock clock;
  const auto meter = make_cpu_model_meter(std::nullopt, clock,
                                          [] { return std::numeric_limits<double>::quiet_NaN(); });
  FRUGAL_EXPECT_ERROR(meter->read(), absl::StatusCode::kFailedPrecondition, "CPU time");
}

}  // namespace
}  // namespace frugal::energy
