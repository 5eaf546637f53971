#include "energy/cpu_identity.h"

#include <fstream>

#include "support/shared_data.h"

namespace frugal::energy {
namespace {

class CpuIdentityTest : public testing::Test {
 protected:
  CpuIdentity read(const std::string& text) {
    const auto path = folder_.path() / "cpuinfo";
    std::ofstream(path) << text;
    return read_cpu_identity(path);
  }
  test::TemporaryFolder folder_;
};

TEST_F(CpuIdentityTest, ReadsTheFirstBlock) {
  const CpuIdentity cpu = read(
      "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\n"
      "model name\t: AMD EPYC\nsiblings\t: 4\ncpu cores\t: 2\nflags\t\t: fpu hypervisor avx2\n\n"
      "processor\t: 1\nmodel\t\t: 99\n");
  EXPECT_EQ(cpu.name, "AMD EPYC");
  EXPECT_EQ(cpu.vendor, "AuthenticAMD");
  EXPECT_EQ(cpu.family, 25);
  EXPECT_EQ(cpu.model, 17);
  EXPECT_EQ(cpu.threads_per_core, 2);
  EXPECT_TRUE(cpu.guest);
  EXPECT_EQ(describe(cpu), "AMD EPYC (family 25, model 17, a virtual machine)");
}

TEST_F(CpuIdentityTest, ReadsArmsNumbers) {
  const CpuIdentity cpu =
      read("processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n");
  EXPECT_EQ(cpu.vendor, "0x41");
  EXPECT_EQ(cpu.family, 0);
  EXPECT_EQ(cpu.model, 0xd0c);
}

TEST_F(CpuIdentityTest, WhatIsNotThereStaysUnknown) {
  const CpuIdentity odd = read("model name : X\ncpu family : six\nflags : no_hypervisor_here\n");
  EXPECT_EQ(odd.family, std::nullopt);
  EXPECT_EQ(odd.model, std::nullopt);
  EXPECT_EQ(odd.threads_per_core, std::nullopt);
  EXPECT_FALSE(odd.guest);
  EXPECT_EQ(read_cpu_identity(folder_.path() / "none").name, "");
  EXPECT_EQ(describe(read_cpu_identity(folder_.path() / "none")), "CPU of unknown name");
}

}  // namespace
}  // namespace frugal::energy
