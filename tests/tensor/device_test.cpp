#include "tensor/device.h"

#include <dlfcn.h>

#include "support/shared_data.h"

namespace frugal::tensor {
namespace {

bool driver_present() { return dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL) != nullptr; }

TEST(Device, CpuNeedsNothing) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Device device, open_device("cpu"));
  EXPECT_TRUE(device.is_cpu());
  EXPECT_EQ(describe(device), "cpu");
}

TEST(Device, UnknownNamesAreRefused) {
  for (const char* name :
       {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:1x", "cuda:1000", "CPU"}) {
    FRUGAL_EXPECT_ERROR(open_device(name), absl::StatusCode::kInvalidArgument,
                        "expected auto, cpu, cuda or cuda:<number>");
  }
}

TEST(Device, CudaWithoutDriverSaysSoAndAutoTakesTheCpu) {
  if (driver_present()) GTEST_SKIP() << "this machine has an NVIDIA driver";
  FRUGAL_EXPECT_ERROR(open_device("cuda"), absl::StatusCode::kNotFound, "libcuda.so.1");
  FRUGAL_EXPECT_ERROR(open_device("cuda:1"), absl::StatusCode::kNotFound, "--device cpu");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Device device, open_device("auto"));
  EXPECT_TRUE(device.is_cpu());
}

TEST(Device, AutoTakesTheGpuWhereItIsUsable) {
  const absl::StatusOr<at::Device> cuda = open_device("cuda");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Device device, open_device("auto"));
  EXPECT_EQ(device.is_cuda(), cuda.ok()) << cuda.status().ToString();
  if (cuda.ok()) {
    EXPECT_THAT(describe(*cuda), ::testing::StartsWith("cuda:0 ("));
  }
}

}  // namespace
}  // namespace frugal::tensor
