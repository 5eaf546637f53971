#include "energy/nvml_meter.h"

#include <dlfcn.h>

#include <filesystem>

#include "fakes.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

class NvmlTest : public testing::Test {
 protected:
  void SetUp() override {
    library_ =
        (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "libfrugal_fake_nvml.so")
            .string();
    handle_ = dlopen(library_.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(handle_, nullptr) << dlerror();
    call("fake_nvml_set_energy_result", 0);
    call("fake_nvml_set_init_result", 0);
  }
  void TearDown() override {
    if (handle_ != nullptr) dlclose(handle_);
  }
  template <typename T>
  void call(const char* function, T value) {
    reinterpret_cast<void (*)(T)>(dlsym(handle_, function))(value);
  }
  int open_handles() {
    return reinterpret_cast<int (*)()>(dlsym(handle_, "fake_nvml_open_handles"))();
  }

  std::string library_;
  void* handle_ = nullptr;
  FakeClock clock_;
};

TEST_F(NvmlTest, ReadsTheEnergyCounterOfTheBoard) {
  NvmlMeters found = find_nvml_meters(library_, std::nullopt, clock_);
  ASSERT_EQ(found.gpus.size(), 1u);
  const MeterInfo& info = found.gpus[0]->info();
  EXPECT_EQ(info.name, "gpu-0");
  EXPECT_EQ(info.scope, "GPU 0 board (Fake GPU A)");
  EXPECT_EQ(info.provenance, Provenance::kMeasured);
  EXPECT_EQ(info.joules_per_unit, 1e-3);
  EXPECT_EQ(info.wrap_units, std::nullopt);
  call("fake_nvml_set_energy", 123456789ull);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Reading reading, found.gpus[0]->read());
  EXPECT_EQ(reading.raw, 123456789u);
  EXPECT_EQ(reading.seconds, clock_.now);
  EXPECT_EQ(found.gpus[0]->conditions().dump(),
            R"({"power_watts":123.5,"temperature_celsius":41})");
}

TEST_F(NvmlTest, AGpuWithoutTheCounterIsUnavailableNotZero) {
  const NvmlMeters found = find_nvml_meters(library_, std::nullopt, clock_);
  ASSERT_EQ(found.unavailable.size(), 1u);
  EXPECT_EQ(found.unavailable[0].name, "gpu-1");
  EXPECT_THAT(found.unavailable[0].reason,
              testing::HasSubstr("nvmlDeviceGetTotalEnergyConsumption"));
}

TEST_F(NvmlTest, AFailedReadIsAnError) {
  const NvmlMeters found = find_nvml_meters(library_, std::nullopt, clock_);
  ASSERT_EQ(found.gpus.size(), 1u);
  call("fake_nvml_set_energy_result", 15);
  FRUGAL_EXPECT_ERROR(found.gpus[0]->read(), absl::StatusCode::kFailedPrecondition,
                      "GPU is lost (15)");
}

TEST_F(NvmlTest, RespectsVisibleDevices) {
  const auto count = [&](const char* visible) {
    return find_nvml_meters(library_, visible, clock_).gpus.size();
  };
  EXPECT_EQ(count("0"), 1u);
  EXPECT_EQ(count("1, 0"), 1u);
  EXPECT_EQ(count("GPU-00000000-aaaa"), 1u);
  EXPECT_EQ(count("GPU-0"), 1u);
  EXPECT_EQ(count(""), 0u);
  EXPECT_EQ(count("-1,0"), 0u);  // what follows -1 is hidden
  EXPECT_EQ(count("7"), 0u);
  EXPECT_THAT(find_nvml_meters(library_, "7", clock_).unavailable[0].reason,
              testing::HasSubstr("hidden"));
}

TEST_F(NvmlTest, ShutsDownWithTheLastMeter) {
  const int before = open_handles();
  {
    const NvmlMeters found = find_nvml_meters(library_, std::nullopt, clock_);
    EXPECT_EQ(open_handles(), before + 1);
  }
  EXPECT_EQ(open_handles(), before);
}

TEST_F(NvmlTest, SaysWhyThereIsNone) {
  call("fake_nvml_set_init_result", 9);
  const NvmlMeters failed = find_nvml_meters(library_, std::nullopt, clock_);
  ASSERT_EQ(failed.unavailable.size(), 1u);
  EXPECT_THAT(failed.unavailable[0].reason, testing::HasSubstr("nvmlInit failed: some error (9)"));
  EXPECT_EQ(open_handles(), 0);  // a failed start is not shut down
  const NvmlMeters absent = find_nvml_meters("libfrugal-no-such-library.so", std::nullopt, clock_);
  EXPECT_THAT(absent.unavailable.at(0).reason, testing::HasSubstr("no NVIDIA driver"));
  const NvmlMeters other = find_nvml_meters("libm.so.6", std::nullopt, clock_);
  EXPECT_THAT(other.unavailable.at(0).reason, testing::HasSubstr("too old"));
}

}  // namespace
}  // namespace frugal::energy
