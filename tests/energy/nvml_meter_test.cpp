#include "energy/nvml_meter.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "energy/detect.h"
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
    call("fake_nvml_set_slices", 0);
    call("fake_nvml_set_old_power", 0u);
    call("fake_cuda_set_result", 0);
    call("fake_cuda_set_first", 0);
    call("fake_cuda_set_count", 2);
  }
  // Which boards a list chooses: "0", "1" (it has no counter, and says so), "01", "".
  std::string chosen(const std::string& list, bool bus_order = true) {
    const NvmlMeters found = find_nvml_meters(
        library_, {.list = list, .bus_order = bus_order, .cuda_library = library_}, clock_);
    std::string out;
    for (const auto& gpu : found.gpus) out += gpu->info().name.substr(4);
    for (const Unavailable& other : found.unavailable)
      out += other.name == "nvml" ? "" : other.name.substr(4);
    return out;
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
  NvmlMeters found = find_nvml_meters(library_, {}, clock_);
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
  EXPECT_EQ(
      found.gpus[0]->conditions().dump(),
      R"({"power_watts":123.5,"temperature_celsius":41,"clock_mhz":1980,"memory_clock_mhz":2619})");
  EXPECT_EQ(found.gpus[0]->watts(), 123.5);  // the cross-check of the counter
  EXPECT_EQ(info.sample_seconds, 0.1);
}

TEST_F(NvmlTest, AGpuWithoutTheCounterIsUnavailableNotZero) {
  const NvmlMeters found = find_nvml_meters(library_, {}, clock_);
  ASSERT_EQ(found.unavailable.size(), 1u);
  EXPECT_EQ(found.unavailable[0].name, "gpu-1");
  EXPECT_THAT(found.unavailable[0].reason,
              testing::HasSubstr("nvmlDeviceGetTotalEnergyConsumption"));
}

TEST_F(NvmlTest, AGpuWithoutTheCounterIsIntegratedWhereItTellsItsPower) {
  call("fake_nvml_set_old_power", 50000u);
  NvmlMeters found = find_nvml_meters(library_, {}, clock_);
  EXPECT_TRUE(found.unavailable.empty());
  ASSERT_EQ(found.gpus.size(), 2u);
  Meter& old = *found.gpus[1];
  EXPECT_EQ(old.info().name, "gpu-1");
  EXPECT_THAT(old.info().method, testing::HasSubstr("which has no energy counter"));
  EXPECT_FALSE(old.info().update_seconds.has_value());
  FRUGAL_EXPECT_OK(old.read());
  clock_.now += 4;
  call("fake_nvml_set_old_power", 150000u);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Reading reading, old.read());
  EXPECT_DOUBLE_EQ(static_cast<double>(reading.raw) * old.info().joules_per_unit, 400);
  call("fake_nvml_set_old_power", 0u);
  FRUGAL_EXPECT_ERROR(old.read(), absl::StatusCode::kFailedPrecondition, "nvmlDeviceGetPowerUsage");
}

TEST_F(NvmlTest, AFailedReadIsAnError) {
  const NvmlMeters found = find_nvml_meters(library_, {}, clock_);
  ASSERT_EQ(found.gpus.size(), 1u);
  call("fake_nvml_set_energy_result", 15);
  FRUGAL_EXPECT_ERROR(found.gpus[0]->read(), absl::StatusCode::kFailedPrecondition,
                      "GPU is lost (15)");
}

TEST_F(NvmlTest, ReadsAListAsCudaDoes) {
  EXPECT_EQ(chosen("0"), "0");
  EXPECT_EQ(chosen("1, 0"), "01");
  EXPECT_EQ(chosen("GPU-00000000-aaaa-bbbb-cccc-dddddddddddd"), "0");
  EXPECT_EQ(chosen("GPU-1"), "1");
  EXPECT_EQ(chosen("00000000-aaaa-bbbb-cccc-dddddddddddd"), "0");
  EXPECT_EQ(chosen(""), "");
  EXPECT_EQ(chosen("-1,0"), "");  // what follows an entry that names nothing is hidden
  EXPECT_EQ(chosen("7,0"), "");
  EXPECT_EQ(chosen("1,7,0"), "1");
  EXPECT_EQ(chosen("GPU-7,0"), "");
  EXPECT_EQ(chosen("01"), "");
  EXPECT_THAT(find_nvml_meters(library_, {.list = "7"}, clock_).unavailable[0].reason,
              testing::HasSubstr("hidden"));
}

TEST_F(NvmlTest, ASliceIsMeteredByItsBoardWhichSaysSo) {
  EXPECT_EQ(chosen("MIG-30000000-aaaa-bbbb-cccc-dddddddddddd"), "");
  call("fake_nvml_set_slices", 2);
  EXPECT_EQ(chosen("MIG-30000000-aaaa-bbbb-cccc-dddddddddddd"), "0");
  EXPECT_EQ(chosen("30000000-aaaa-bbbb-cccc-dddddddddddd"), "0");
  EXPECT_EQ(chosen("MIG-40000000-aaaa-bbbb-cccc-dddddddddddd"), "");
  EXPECT_EQ(chosen("MIG-GPU-00000000-aaaa-bbbb-cccc-dddddddddddd/1/0"), "0");
  EXPECT_EQ(chosen("MIG-GPU-10000000-aaaa-bbbb-cccc-dddddddddddd/1/0"), "1");
  EXPECT_EQ(find_nvml_meters(library_, {.list = "MIG-3"}, clock_).gpus.at(0)->info().scope,
            "GPU 0 board (Fake GPU A), all of its MIG slices");
}

// CUDA's first GPU is NVML's second: numbers are CUDA's, unless it counts in the order of the bus.
TEST_F(NvmlTest, NumbersOfCudaAreMatchedByUuid) {
  call("fake_cuda_set_first", 1);
  call("fake_cuda_set_count", 1);  // what CUDA_VISIBLE_DEVICES=0 leaves
  EXPECT_EQ(chosen("0", /*bus_order=*/true), "0");
  EXPECT_EQ(chosen("0", /*bus_order=*/false), "1");
  EXPECT_EQ(chosen("GPU-0", /*bus_order=*/false), "0");  // a UUID needs no order
  call("fake_nvml_set_slices", 1);
  call("fake_cuda_set_first", 2);
  EXPECT_EQ(chosen("0", /*bus_order=*/false), "0");  // a slice of the first
  call("fake_cuda_set_result", 100);
  const NvmlMeters unknown = find_nvml_meters(
      library_, {.list = "0", .bus_order = false, .cuda_library = library_}, clock_);
  EXPECT_TRUE(unknown.gpus.empty());  // nobody's energy is taken for another's
  EXPECT_THAT(unknown.unavailable.at(0).reason,
              testing::AllOf(testing::HasSubstr("cuInit failed (100)"),
                             testing::HasSubstr("CUDA_DEVICE_ORDER=PCI_BUS_ID")));
}

class VariablesTest : public NvmlTest {
 protected:
  void TearDown() override {
    ::unsetenv("CUDA_VISIBLE_DEVICES");
    ::unsetenv("CUDA_DEVICE_ORDER");
    NvmlTest::TearDown();
  }
  // Boards as `chosen` names them, by the environment.
  std::string detected(std::optional<int64_t> cuda_index = std::nullopt) {
    DetectOptions options;
    options.cpu = options.dram = false;
    options.nvml_library = options.cuda_library = library_;
    options.cuda_index = cuda_index;
    const Detected found = detect_meters(options);
    std::string out;
    for (const auto& gpu : found.meters) out += gpu->info().name.substr(4);
    for (const Unavailable& other : found.unavailable)
      out += other.name == "nvml" ? "!" : other.name.substr(4);
    return out;
  }
};

TEST_F(VariablesTest, TheOrderOfTheVariableIsCudas) {
  EXPECT_EQ(detected(), "01");
  call("fake_cuda_set_first", 1);
  call("fake_cuda_set_count", 1);
  ::setenv("CUDA_VISIBLE_DEVICES", "0", 1);
  EXPECT_EQ(detected(), "1");
  ::setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST", 1);
  EXPECT_EQ(detected(), "1");
  ::setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 1);
  EXPECT_EQ(detected(), "0");
}

TEST_F(VariablesTest, TheDeviceInUseIsMeteredAlone) {
  EXPECT_EQ(detected(0), "0");
  EXPECT_EQ(detected(1), "1");
  EXPECT_EQ(detected(2), "!");
  call("fake_cuda_set_first", 1);
  EXPECT_EQ(detected(0), "1");
  EXPECT_EQ(detected(1), "0");
}

TEST_F(NvmlTest, ShutsDownWithTheLastMeter) {
  const int before = open_handles();
  {
    const NvmlMeters found = find_nvml_meters(library_, {}, clock_);
    EXPECT_EQ(open_handles(), before + 1);
  }
  EXPECT_EQ(open_handles(), before);
}

TEST_F(NvmlTest, SaysWhyThereIsNone) {
  call("fake_nvml_set_init_result", 9);
  const NvmlMeters failed = find_nvml_meters(library_, {}, clock_);
  ASSERT_EQ(failed.unavailable.size(), 1u);
  EXPECT_THAT(failed.unavailable[0].reason, testing::HasSubstr("nvmlInit failed: some error (9)"));
  EXPECT_EQ(open_handles(), 0);  // a failed start is not shut down
  const NvmlMeters absent = find_nvml_meters("libfrugal-no-such-library.so", {}, clock_);
  EXPECT_THAT(absent.unavailable.at(0).reason, testing::HasSubstr("no NVIDIA driver"));
  const NvmlMeters other = find_nvml_meters("libm.so.6", {}, clock_);
  EXPECT_THAT(other.unavailable.at(0).reason, testing::HasSubstr("too old"));
}

}  // namespace
}  // namespace frugal::energy
