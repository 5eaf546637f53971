#include "energy/cpu_conditions.h"

#include <fstream>

#include "fakes.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

namespace fs = std::filesystem;

class CpuConditionsTest : public testing::Test {
 protected:
  void add(const std::string& path, const std::string& text) {
    fs::create_directories((folder_.path() / path).parent_path());
    std::ofstream(folder_.path() / path) << text << "\n";
  }
  base::Json conditions() {
    return cpu_conditions(folder_.path() / "cpu", folder_.path() / "hwmon");
  }
  test::TemporaryFolder folder_;
};

TEST_F(CpuConditionsTest, WhatIsNotToldIsAbsent) {
  EXPECT_EQ(conditions(), base::Json::object());
  add("cpu/cpu0/online", "1");
  add("hwmon/hwmon0/name", "nvme");
  add("hwmon/hwmon0/temp1_input", "36000");
  EXPECT_EQ(conditions(), base::Json::object());
}

TEST_F(CpuConditionsTest, TheMeanClockAndTheHottestPackage) {
  add("cpu/cpu0/cpufreq/scaling_cur_freq", "2000000");
  add("cpu/cpu1/cpufreq/scaling_cur_freq", "3000000");
  add("cpu/cpufreq/scaling_cur_freq", "9000000");  // no CPU
  add("hwmon/hwmon1/name", "coretemp");
  add("hwmon/hwmon1/temp1_input", "51000");
  add("hwmon/hwmon2/name", "coretemp");
  add("hwmon/hwmon2/temp1_input", "55500");
  const base::Json found = conditions();
  EXPECT_EQ(found["clock_mhz"], 2500.0);
  EXPECT_EQ(found["temperature_celsius"], 55.5);
}

TEST_F(CpuConditionsTest, WhatAMeterTellsByItselfStays) {
  add("hwmon/hwmon1/name", "k10temp");
  add("hwmon/hwmon1/temp1_input", "60000");
  add("cpu/cpu0/cpufreq/scaling_cur_freq", "2000000");
  const FakeClock clock;
  auto counter = std::make_shared<FakeCounter>();
  counter->raw = 7;
  const auto meter =
      with_cpu_conditions(std::make_unique<FakeMeter>(fake_info("m"), counter, clock),
                          folder_.path() / "cpu", folder_.path() / "hwmon");
  EXPECT_EQ(meter->conditions(),
            base::Json::parse(R"({"clock_mhz": 2000.0, "temperature_celsius": 40})"));
  EXPECT_EQ(meter->info().name, "m");
  EXPECT_EQ(meter->read().value().raw, 7u);
}

}  // namespace
}  // namespace frugal::energy
