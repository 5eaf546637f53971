#include "kernels/cuda_module.h"

#include <fstream>
#include <stdexcept>

#include "kernels/sweep.h"
#include "kernels/sweep_cuda.h"
#include "support/shared_data.h"

namespace frugal::kernels {
namespace {

TEST(CudaModule, AModuleOfThisBuildOpens) {
  const CudaModule module = open_cuda_module(FRUGAL_EMULATED_MODULE);
  ASSERT_NE(module.table, nullptr) << module.problem;
  EXPECT_TRUE(module.present);
  EXPECT_STREQ(module.table->build, "emulation on the host");
}

TEST(CudaModule, AnotherInterfaceIsRefused) {
  const CudaModule module = open_cuda_module(FRUGAL_OTHER_MODULE);
  EXPECT_EQ(module.table, nullptr);
  EXPECT_TRUE(module.present);
  EXPECT_THAT(module.problem, ::testing::HasSubstr("has interface 4711 (8 bytes), this program "
                                                   "needs " +
                                                   std::to_string(FRUGAL_CUDA_ABI)));
}

TEST(CudaModule, OtherFilesAreRefused) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "libfrugal_cuda.so";
  std::ofstream(path) << "no library";
  const CudaModule module = open_cuda_module(path);
  EXPECT_EQ(module.table, nullptr);
  EXPECT_TRUE(module.present);
  EXPECT_THAT(module.problem, ::testing::HasSubstr("cannot open the CUDA module"));
}

// Where nvcc is found the real module is built, and loads without a GPU and without a driver.
TEST(CudaModule, TheBuiltModuleOpensWithoutADevice) {
  if (std::string(FRUGAL_BUILT_MODULE).empty()) GTEST_SKIP() << "built without nvcc";
  const CudaModule module = open_cuda_module(FRUGAL_BUILT_MODULE);
  ASSERT_NE(module.table, nullptr) << module.problem;
  EXPECT_THAT(module.table->build, ::testing::HasSubstr("CUDA 1"));
  int count = -1;
  const int code = module.table->device_count(&count);
  if (code != 0) {
    EXPECT_STRNE(module.table->error_text(code), "");
    EXPECT_THROW(CudaMemory(*module.table, 16), std::runtime_error);
  }
}

TEST(CudaModule, TheTableOfSweepsNamesIt) {
  const SweepKernel* const kernel = sweep_kernel(Device::kCuda);
  EXPECT_EQ(kernel != nullptr, cuda_available());
  ASSERT_NE(sweep_kernel(Device::kCpu), nullptr);
  EXPECT_EQ(sweep_kernel(Device::kCpu)->device, Device::kCpu);
}

}  // namespace
}  // namespace frugal::kernels
