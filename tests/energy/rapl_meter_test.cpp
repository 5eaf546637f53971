#include "energy/rapl_meter.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "fakes.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

namespace fs = std::filesystem;

class RaplTest : public testing::Test {
 protected:
  void zone(const std::string& path, const std::string& name, const std::string& energy,
            const std::string& range = "262143328850\n") {
    const fs::path folder = folder_.path() / path;
    fs::create_directories(folder);
    std::ofstream(folder / "name") << name << "\n";
    std::ofstream(folder / "energy_uj") << energy;
    std::ofstream(folder / "max_energy_range_uj") << range;
  }
  RaplMeters find(bool dies_share_counter = false) {
    return find_rapl_meters(folder_.path(), dies_share_counter, clock_);
  }
  static std::vector<std::string> names(const std::vector<std::unique_ptr<Meter>>& meters) {
    std::vector<std::string> out;
    for (const auto& meter : meters) out.push_back(meter->info().name);
    return out;
  }

  test::TemporaryFolder folder_;
  FakeClock clock_;
};

TEST_F(RaplTest, CountsEachPackageOnceAndMemoryApart) {
  zone("intel-rapl:0", "package-0", "1000\n");
  zone("intel-rapl:0:0", "core", "1\n");
  zone("intel-rapl:0:1", "uncore", "1\n");
  zone("intel-rapl:0:2", "dram", "77\n");
  zone("intel-rapl:1", "package-1", "2000\n");
  zone("intel-rapl:1:0", "dram", "78\n");
  zone("intel-rapl:2", "psys", "9\n");
  zone("intel-rapl-mmio:0", "package-0", "1001\n");
  fs::create_directories(folder_.path() / "intel-rapl");
  const RaplMeters found = find();
  EXPECT_THAT(names(found.packages), testing::ElementsAre("cpu-package-0", "cpu-package-1"));
  EXPECT_THAT(names(found.dram), testing::ElementsAre("dram-0", "dram-1"));
  EXPECT_THAT(names(found.parts), testing::ElementsAre("cpu-core-0", "cpu-uncore-0"));
  EXPECT_THAT(names(found.platform), testing::ElementsAre("platform"));
  for (const auto* beside : {&found.parts, &found.platform}) {
    for (const auto& meter : *beside) EXPECT_FALSE(meter->info().in_total) << meter->info().name;
  }
  EXPECT_TRUE(found.packages[0]->info().in_total);
  EXPECT_TRUE(found.dram[0]->info().in_total);
  EXPECT_TRUE(found.unavailable.empty());
  EXPECT_EQ(found.packages[0]->read().value().raw, 1000u);  // MSR, not MMIO
  EXPECT_EQ(found.dram[1]->read().value().raw, 78u);
  const MeterInfo& info = found.packages[0]->info();
  EXPECT_EQ(info.scope, "CPU package 0");
  EXPECT_EQ(info.wrap_units, 262143328850u);
  EXPECT_EQ(info.joules_per_unit, 1e-6);
  EXPECT_EQ(found.dram[0]->info().domain, Domain::kMemory);
}

TEST_F(RaplTest, TellsItsPowerLimitWhereThereIsOne) {
  zone("intel-rapl:0", "package-0", "1000\n");
  EXPECT_EQ(find().packages[0]->conditions(), base::Json::object());
  std::ofstream(folder_.path() / "intel-rapl:0" / "constraint_0_power_limit_uw") << "125000000\n";
  EXPECT_EQ(find().packages[0]->conditions()["power_limit_watts"], 125.0);
}

TEST_F(RaplTest, ReadsNestedTrees) {
  zone("intel-rapl/intel-rapl:0", "package-0", "1000\n");
  EXPECT_TRUE(find().packages.empty());  // the class folder holds the zones themselves
  zone("intel-rapl:0", "package-0", "1000\n");
  zone("intel-rapl:0/intel-rapl:0:0", "dram", "5\n");
  const RaplMeters found = find();
  EXPECT_THAT(names(found.packages), testing::ElementsAre("cpu-package-0"));
  EXPECT_THAT(names(found.dram), testing::ElementsAre("dram-0"));
}

TEST_F(RaplTest, MmioStandsInForAnUnreadableMsr) {
  zone("intel-rapl:0", "package-0", "broken\n");
  zone("intel-rapl-mmio:0", "package-0", "42\n");
  const RaplMeters found = find();
  ASSERT_EQ(found.packages.size(), 1u);
  EXPECT_EQ(found.packages[0]->read().value().raw, 42u);
  EXPECT_TRUE(found.unavailable.empty());
}

TEST_F(RaplTest, DiesThatRepeatThePackageCountOnce) {
  zone("intel-rapl:0", "package-0-die-0", "1000\n");
  zone("intel-rapl:1", "package-0-die-1", "1000\n");
  EXPECT_EQ(find(false).packages.size(), 2u);  // Intel: a counter for each die
  EXPECT_EQ(find(true).packages.size(), 1u);   // AMD: one for the package
}

TEST_F(RaplTest, AFailedReadIsAnErrorNotAZero) {
  zone("intel-rapl:0", "package-0", "1000\n");
  const RaplMeters found = find();
  ASSERT_EQ(found.packages.size(), 1u);
  const fs::path counter = folder_.path() / "intel-rapl:0" / "energy_uj";
  std::ofstream(counter, std::ios::trunc).flush();
  FRUGAL_EXPECT_ERROR(found.packages[0]->read(), absl::StatusCode::kDataLoss,
                      "expected a whole number");
  std::ofstream(counter, std::ios::trunc) << "-5\n";
  EXPECT_FALSE(found.packages[0]->read().ok());
  std::ofstream(counter, std::ios::trunc) << "262143328851\n";  // above the range
  FRUGAL_EXPECT_ERROR(found.packages[0]->read(), absl::StatusCode::kDataLoss, "above its range");
  fs::remove(counter);
  EXPECT_EQ(found.packages[0]->read().status().code(), absl::StatusCode::kNotFound);
  std::ofstream(counter) << "1001\n";
  EXPECT_EQ(found.packages[0]->read().value().raw, 1001u);
}

TEST_F(RaplTest, WhatCannotBeReadIsNamedWithItsReason) {
  zone("intel-rapl:0", "package-0", "1000\n", "unknown\n");  // would give negative energy at a wrap
  zone("intel-rapl:1", "package-1", "1000\n", "0\n");
  const RaplMeters found = find();
  EXPECT_TRUE(found.packages.empty());
  ASSERT_EQ(found.unavailable.size(), 2u);
  EXPECT_EQ(found.unavailable[0].name, "cpu-package-0");
  EXPECT_THAT(found.unavailable[0].reason, testing::HasSubstr("max_energy_range_uj"));
}

TEST_F(RaplTest, PermissionDeniedComesWithItsRemedy) {
  zone("intel-rapl:0", "package-0", "1000\n");
  ASSERT_EQ(chmod(folder_.path().c_str(), 0755), 0);
  ASSERT_EQ(chmod((folder_.path() / "intel-rapl:0" / "energy_uj").c_str(), 0), 0);
  constexpr uid_t kNobody = 65534;
  const bool is_root = geteuid() == 0;  // who may read everything
  if (is_root) {
    ASSERT_EQ(seteuid(kNobody), 0);
  }
  const RaplMeters found = find();
  if (is_root) {
    ASSERT_EQ(seteuid(0), 0);
  }
  ASSERT_EQ(found.unavailable.size(), 1u);
  EXPECT_THAT(found.unavailable[0].reason,
              testing::AllOf(testing::HasSubstr("sudo chmod a+r"),
                             testing::HasSubstr("intel-rapl:0/energy_uj")));
}

TEST_F(RaplTest, NoRaplIsSaid) {
  ASSERT_EQ(find().unavailable.size(), 1u);
  EXPECT_THAT(find().unavailable[0].reason, testing::HasSubstr("no RAPL zone"));
  const RaplMeters found = find_rapl_meters(folder_.path() / "none", false, clock_);
  EXPECT_EQ(found.unavailable.size(), 1u);
}

}  // namespace
}  // namespace frugal::energy
