#include "energy/cuda_devices.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "support/shared_data.h"

namespace frugal::energy {
namespace {

TEST(CudaDevices, AreToldByUuidInCudasOrder) {
  const std::string fake =
      (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "libfrugal_fake_nvml.so")
          .string();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto uuids, cuda_uuids(fake));
  EXPECT_THAT(uuids, testing::ElementsAre("00000000-aaaa-bbbb-cccc-dddddddddddd",
                                          "10000000-aaaa-bbbb-cccc-dddddddddddd"));
}

TEST(CudaDevices, SayWhyThereAreNone) {
  FRUGAL_EXPECT_ERROR(cuda_uuids("libfrugal-no-such-library.so"), absl::StatusCode::kNotFound,
                      "no CUDA driver");
  FRUGAL_EXPECT_ERROR(cuda_uuids("libm.so.6"), absl::StatusCode::kFailedPrecondition, "too old");
}

}  // namespace
}  // namespace frugal::energy
