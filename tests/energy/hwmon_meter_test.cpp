#include "energy/hwmon_meter.h"

#include <fstream>

#include "energy/window.h"
#include "fakes.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

namespace fs = std::filesystem;

class HwmonTest : public testing::Test {
 protected:
  void add(const std::string& path, const std::string& text) {
    fs::create_directories((folder_.path() / path).parent_path());
    std::ofstream(folder_.path() / path) << text << "\n";
  }
  HwmonMeters find() { return find_hwmon_meters(folder_.path(), clock_); }
  test::TemporaryFolder folder_;
  FakeClock clock_;
};

TEST_F(HwmonTest, IntegratesThePowerOfAnAmdGpu) {
  add("hwmon3/name", "amdgpu");
  add("hwmon3/power1_average", "30000000");
  add("hwmon3/temp1_input", "56000");
  add("hwmon3/power1_cap", "300000000");
  add("hwmon3/freq1_input", "1700000000");
  fs::create_symlink("../../../0000:03:00.0", folder_.path() / "hwmon3" / "device");
  const HwmonMeters found = find();
  ASSERT_EQ(found.gpus.size(), 1u);
  Meter& gpu = *found.gpus[0];
  EXPECT_EQ(gpu.info().scope, "AMD GPU 0000:03:00.0 board");
  EXPECT_EQ(gpu.info().domain, Domain::kGpu);
  EXPECT_EQ(gpu.conditions().dump(),
            R"({"temperature_celsius":56.0,"power_limit_watts":300.0,"clock_mhz":1700.0})");
  const uint64_t before = gpu.read().value().raw;
  clock_.now += 10;
  EXPECT_EQ(gpu.read().value().raw - before, 300000000u);  // 30 W for 10 s
}

TEST_F(HwmonTest, ReadsTheCounterWhereThereIsOne) {
  add("hwmon0/name", "amdgpu");
  add("hwmon0/energy1_input", "123456");
  add("hwmon0/power1_input", "45000000");
  HwmonMeters found = find();
  ASSERT_EQ(found.gpus.size(), 1u);
  EXPECT_EQ(found.gpus[0]->read().value().raw, 123456u);
  EXPECT_EQ(found.gpus[0]->info().joules_per_unit, 1e-6);
  EXPECT_THAT(found.gpus[0]->info().method, testing::HasSubstr("energy1_input"));
  // A counter counts on between two readings, however far apart: it is no integral of ours.
  MeterSet set(std::move(found.gpus), {}, {&clock_, 0});
  Window window = set.begin("work");
  clock_.now += 60;
  add("hwmon0/energy1_input", "60123456");
  EXPECT_DOUBLE_EQ(window.end().meters[0].joules.value_or(0), 60);
}

TEST_F(HwmonTest, CountsSocketsAndNotTheirCores) {
  add("hwmon1/name", "amd_energy");
  add("hwmon1/energy1_label", "Ecore000");
  add("hwmon1/energy1_input", "5");
  add("hwmon1/energy65_label", "Esocket0");
  add("hwmon1/energy65_input", "77");
  const HwmonMeters found = find();
  ASSERT_EQ(found.sockets.size(), 1u);
  EXPECT_EQ(found.sockets[0]->info().name, "cpu-socket-0");
  EXPECT_EQ(found.sockets[0]->read().value().raw, 77u);
}

TEST_F(HwmonTest, AServersPowerMeterIsTheWholeMachine) {
  add("hwmon0/name", "power_meter");
  add("hwmon0/power1_average", "250000000");
  add("hwmon1/name", "coretemp");
  add("hwmon1/temp1_input", "40000");
  const HwmonMeters found = find();
  ASSERT_EQ(found.machines.size(), 1u);
  EXPECT_EQ(found.machines[0]->info().domain, Domain::kMachine);
  EXPECT_TRUE(found.gpus.empty());
}

TEST_F(HwmonTest, WhatCannotBeReadSaysWhy) {
  add("hwmon0/name", "amdgpu");
  add("hwmon1/name", "amdgpu");
  add("hwmon1/power1_average", "many");
  const HwmonMeters found = find();
  EXPECT_TRUE(found.gpus.empty());
  ASSERT_EQ(found.unavailable.size(), 2u);
  EXPECT_THAT(found.unavailable[0].reason, testing::HasSubstr("neither energy nor power"));
  EXPECT_THAT(found.unavailable[1].reason, testing::HasSubstr("'many'"));
  EXPECT_TRUE(find_hwmon_meters(folder_.path() / "none", clock_).unavailable.empty());
}

}  // namespace
}  // namespace frugal::energy
