#include "energy/battery_meter.h"

#include <fstream>

#include "fakes.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

namespace fs = std::filesystem;

class BatteryTest : public testing::Test {
 protected:
  void add(const std::string& path, const std::string& text) {
    fs::create_directories((folder_.path() / path).parent_path());
    std::ofstream(folder_.path() / path) << text << "\n";
  }
  BatteryMeters find() { return find_battery_meters(folder_.path(), clock_); }
  test::TemporaryFolder folder_;
  FakeClock clock_;
};

TEST_F(BatteryTest, CountsWhileItDischarges) {
  add("BAT0/type", "Battery");
  add("BAT0/status", "Discharging");
  add("BAT0/current_now", "2000000");
  add("BAT0/voltage_now", "11500000");
  const BatteryMeters found = find();
  ASSERT_EQ(found.machines.size(), 1u);
  Meter& battery = *found.machines[0];
  EXPECT_EQ(battery.info().name, "battery-BAT0");
  const uint64_t before = battery.read().value().raw;
  clock_.now += 2;
  EXPECT_EQ(battery.read().value().raw - before, 46000000u);  // 2 A · 11.5 V · 2 s
  add("BAT0/power_now", "30000000");                          // is preferred
  clock_.now += 2;
  EXPECT_EQ(battery.read().value().raw - before, 46000000u + 53000000u);
  add("BAT0/status", "Charging");
  FRUGAL_EXPECT_ERROR(battery.read(), absl::StatusCode::kFailedPrecondition, "unplug the mains");
}

TEST_F(BatteryTest, SaysWhyItDoesNotCount) {
  add("BAT0/type", "Battery");
  add("BAT0/status", "Full");
  add("AC/type", "Mains");
  add("mouse/type", "Battery");
  add("mouse/scope", "Device");
  add("mouse/status", "Discharging");
  const BatteryMeters found = find();
  EXPECT_TRUE(found.machines.empty());
  ASSERT_EQ(found.unavailable.size(), 1u);
  EXPECT_EQ(found.unavailable[0].name, "battery-BAT0");
  EXPECT_THAT(found.unavailable[0].reason, testing::HasSubstr("'Full'"));
}

}  // namespace
}  // namespace frugal::energy
