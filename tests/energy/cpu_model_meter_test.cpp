#include "energy/cpu_model_meter.h"

#include <limits>

#include "energy/cpu_table.h"
#include "fakes.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

// As clouds show it: no number of the part.
CpuIdentity cloud_cpu() {
  return {.name = "AMD EPYC", .vendor = "AuthenticAMD", .family = 25, .model = 17, .guest = true};
}

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
  const auto meter = make_cpu_model_meter(profile, cloud_cpu(), clock, [&] { return used; });
  EXPECT_EQ(meter->info().provenance, Provenance::kModelled);
  EXPECT_FALSE(meter->info().whole_device);
  EXPECT_DOUBLE_EQ(meter->info().joules_per_unit, 1.5e-9);  // 128 W / 64 · 0.75 per CPU second
  EXPECT_THAT(meter->info().method, testing::HasSubstr("128 W / 64 threads"));
  // 2 W a thread at full TDP; a little loaded machine draws up to twice that for each.
  EXPECT_DOUBLE_EQ(meter->info().joules_per_unit_range->low, 1.5e-9);
  EXPECT_NEAR(meter->info().joules_per_unit_range->high, 4e-9, 1e-15);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Reading reading, meter->read());
  EXPECT_EQ(reading.raw, 2500000000u);
  EXPECT_EQ(reading.seconds, 10);
}

TEST(CpuModelMeter, KnowsTheCpuByItsGeneration) {
  const FakeClock clock;
  double used = 10;
  const auto meter = make_cpu_model_meter(std::nullopt, cloud_cpu(), clock, [&] { return used; });
  EXPECT_EQ(meter->info().provenance, Provenance::kModelled);
  EXPECT_THAT(meter->info().scope, testing::HasSubstr("AMD EPYC"));
  EXPECT_THAT(meter->info().method, testing::HasSubstr("AMD EPYC 9004 (Genoa)"));
  ASSERT_TRUE(meter->info().joules_per_unit_range.has_value());
  EXPECT_LT(meter->info().joules_per_unit_range->low, meter->info().joules_per_unit);
  EXPECT_GT(meter->info().joules_per_unit_range->high, meter->info().joules_per_unit);
}

TEST(CpuModelMeter, SaysWhatItAssumes) {
  const FakeClock clock;
  const auto meter = make_cpu_model_meter(std::nullopt, {}, clock);
  EXPECT_DOUBLE_EQ(meter->info().joules_per_unit, kAssumedWattsPerThread * 1e-9);
  EXPECT_EQ(meter->info().provenance, Provenance::kAssumed);
  EXPECT_THAT(meter->info().method, testing::HasSubstr("assumed 4 W per hardware thread"));
  EXPECT_GT(meter->read().value().raw, 0u);  // this process has used some
}

TEST(CpuModelMeter, AnUnknownTimeIsAnError) {
  const FakeClock clock;
  const auto meter = make_cpu_model_meter(std::nullopt, {}, clock,
                                          [] { return std::numeric_limits<double>::quiet_NaN(); });
  FRUGAL_EXPECT_ERROR(meter->read(), absl::StatusCode::kFailedPrecondition, "CPU time");
}

}  // namespace
}  // namespace frugal::energy
