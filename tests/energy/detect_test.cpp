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
    options_.clock = &clock_;
  }
  void add_package() {
    const fs::path zone = folder_.path() / "intel-rapl:0";
    fs::create_directories(zone);
    std::ofstream(zone / "name") << "package-0\n";
    std::ofstream(zone / "energy_uj") << "1\n";
    std::ofstream(zone / "max_energy_range_uj") << "1000000\n";
  }
  test::TemporaryFolder folder_;
  FakeClock clock_;
  DetectOptions options_;
};

TEST_F(DetectTest, ModelsTheCpuOnlyWhereItCannotBeMeasured) {
  const Detected modelled = detect_meters(options_);
  EXPECT_THAT(names_of(modelled.meters), testing::ElementsAre("cpu-model"));
  EXPECT_EQ(modelled.unavailable.size(), 2u);  // NVML and RAPL, each with its reason
  add_package();
  EXPECT_THAT(names_of(detect_meters(options_).meters), testing::ElementsAre("cpu-package-0"));
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
