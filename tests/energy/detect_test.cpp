#include "energy/detect.h"

#include <algorithm>
#include <fstream>

#include "energy/window.h"
#include "fakes.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_of(const std::vector<std::unique_ptr<Meter>>& meters) {
  std::vector<std::string> out;
  for (const auto& meter : meters) out.push_back(meter->info().name);
  return out;
}

class DetectTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.nvml_library = "libfrugal-no-such-library.so";
    options_.powercap_root = folder_.path();
    options_.hwmon_root = folder_.path() / "hwmon";
    options_.power_supply_root = folder_.path() / "power_supply";
    options_.cpu_root = folder_.path() / "cpu";
    options_.clock = &clock_;
  }
  void add_package() {
    const fs::path zone = folder_.path() / "intel-rapl:0";
    fs::create_directories(zone);
    std::ofstream(zone / "name") << "package-0\n";
    std::ofstream(zone / "energy_uj") << "1\n";
    std::ofstream(zone / "max_energy_range_uj") << "1000000\n";
  }
  void add(const std::string& path, const std::string& text) {
    fs::create_directories((folder_.path() / path).parent_path());
    std::ofstream(folder_.path() / path) << text << "\n";
  }
  void add_psys() {
    add("intel-rapl:1/name", "psys");
    add("intel-rapl:1/energy_uj", "1");
    add("intel-rapl:1/max_energy_range_uj", "1000000");
  }
  void add_power_meter() {
    add("hwmon/hwmon0/name", "power_meter");
    add("hwmon/hwmon0/power1_average", "250000000");
  }
  // "name" or "(name)", which is in no sum.
  std::vector<std::string> placed() {
    std::vector<std::string> out;
    for (const auto& meter : detect_meters(options_).meters) {
      const std::string& name = meter->info().name;
      out.push_back(meter->info().in_total ? name : "(" + name + ")");
    }
    return out;
  }
  test::TemporaryFolder folder_;
  FakeClock clock_;
  DetectOptions options_;
};

// Of the package and of the model alike.
TEST_F(DetectTest, ACpuMeterTellsClockAndTemperature) {
  add("cpu/cpu0/cpufreq/scaling_cur_freq", "2400000");
  for (const char* name : {"cpu-model", "cpu-package-0"}) {
    const Detected found = detect_meters(options_);
    ASSERT_EQ(found.meters.size(), 1u);
    EXPECT_EQ(found.meters[0]->info().name, name);
    EXPECT_EQ(found.meters[0]->conditions()["clock_mhz"], 2400.0);
    add_package();
  }
}

TEST_F(DetectTest, ModelsTheCpuOnlyWhereItCannotBeMeasured) {
  const Detected modelled = detect_meters(options_);
  EXPECT_THAT(names_of(modelled.meters), testing::ElementsAre("cpu-model"));
  EXPECT_EQ(modelled.unavailable.size(), 2u);  // NVML and RAPL, each with its reason
  add_package();
  EXPECT_THAT(names_of(detect_meters(options_).meters), testing::ElementsAre("cpu-package-0"));
}

// Nothing is counted twice: what covers the packages stands beside them, and stands in where there
// are none; the model comes last.
TEST_F(DetectTest, TheWholeMachineIsCountedOnlyWhereNothingElseCountsTheCpu) {
  add("hwmon/hwmon1/name", "amdgpu");
  add("hwmon/hwmon1/power1_average", "30000000");
  EXPECT_THAT(placed(), testing::ElementsAre("gpu-amd-0", "cpu-model"));
  add_power_meter();
  EXPECT_THAT(placed(), testing::ElementsAre("(gpu-amd-0)", "machine-0"));
  add_psys();
  EXPECT_THAT(placed(), testing::ElementsAre("gpu-amd-0", "platform", "(machine-0)"));
  add_package();
  EXPECT_THAT(placed(),
              testing::ElementsAre("gpu-amd-0", "cpu-package-0", "(platform)", "(machine-0)"));
}

TEST_F(DetectTest, CountersOfSocketsStandInForPackages) {
  add("hwmon/hwmon2/name", "amd_energy");
  add("hwmon/hwmon2/energy1_label", "Ecore000");
  add("hwmon/hwmon2/energy1_input", "5");
  add("hwmon/hwmon2/energy65_label", "Esocket0");
  add("hwmon/hwmon2/energy65_input", "77");
  add_power_meter();
  EXPECT_THAT(placed(), testing::ElementsAre("cpu-socket-0", "(machine-0)"));
  add_package();
  EXPECT_THAT(placed(), testing::ElementsAre("cpu-package-0", "(machine-0)"));
}

TEST_F(DetectTest, ABatteryCountsWhileItDischarges) {
  add("power_supply/BAT0/type", "Battery");
  add("power_supply/BAT0/status", "Charging");
  add("power_supply/BAT0/power_now", "12000000");
  EXPECT_THAT(placed(), testing::ElementsAre("cpu-model"));
  EXPECT_THAT(detect_meters(options_).unavailable.back().reason, testing::HasSubstr("unplug"));
  add("power_supply/BAT0/status", "Discharging");
  EXPECT_THAT(placed(), testing::ElementsAre("battery-BAT0"));
}

TEST_F(DetectTest, TakesOnlyWhatIsAsked) {
  add_package();
  options_.cpu = false;
  options_.dram = false;
  EXPECT_TRUE(detect_meters(options_).meters.empty());
  options_.gpu = false;
  EXPECT_TRUE(detect_meters(options_).unavailable.empty());
  options_.cpu = true;
  options_.cpu_model_when_unmeasured = false;
  fs::remove_all(folder_.path() / "intel-rapl:0");
  EXPECT_TRUE(detect_meters(options_).meters.empty());
}

TEST_F(DetectTest, ASetOfThisMachineMetersAWindow) {
  MeterSet meters = MeterSet::detect(options_);
  ASSERT_EQ(meters.meters().size(), 1u);
  EXPECT_EQ(meters.describe().size(), 3u);
  Window window = meters.begin("work");
  clock_.now += 2;
  const WindowResult result = window.end();
  EXPECT_EQ(result.total_joules().provenance, Provenance::kModelled);
  EXPECT_GE(result.total_joules().value.value(), 0);
  FRUGAL_EXPECT_OK(verify_window(result, "t"));
}

}  // namespace
}  // namespace frugal::energy
