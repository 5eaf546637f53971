#include "pass/disk_room.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "pass/matrix.h"
#include "toy.h"

namespace frugal::pass {
namespace {

constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;
constexpr int64_t kSpare = int64_t{64} << 20;  // that is left alone
constexpr int64_t kTooMuch = int64_t{1} << 60;

class DiskRoom : public testing::Test {
 protected:
  Cache cache() const { return Cache::open(folder_.path() / "cache").value(); }
  void add(const char* key, std::optional<int64_t> bytes) {
    Unit unit;
    unit.id = unit.key = key;
    unit.pass = find_pass(test::toy_registry(), "scale");
    unit.estimate.output_bytes = bytes;
    plan_.units.push_back(std::move(unit));
  }
  frugal::test::TemporaryFolder folder_;
  Plan plan_;
};

TEST_F(DiskRoom, AllThatIsLeftToMakeMustFit) {
  FRUGAL_EXPECT_OK(check_room_for(plan_, cache()));
  add("a", 1);
  add("b", 1);
  FRUGAL_EXPECT_OK(check_room_for(plan_, cache()));
  plan_.units[1].estimate.output_bytes = kTooMuch;
  FRUGAL_EXPECT_ERROR(check_room_for(plan_, cache()), kExhausted,
                      "the 2 steps of this run need about ");
  FRUGAL_EXPECT_ERROR(check_room_for(plan_, cache()), kExhausted, "give --cache a folder");
  FRUGAL_EXPECT_ERROR(check_room_for(plan_, cache()), kExhausted, cache().folder().string());
  // Each alone would fit, both do not.
  FRUGAL_ASSERT_OK_AND_ASSIGN(const int64_t free, base::free_bytes(folder_.path()));
  for (Unit& unit : plan_.units) unit.estimate.output_bytes = free / 4 * 3 - kSpare;
  FRUGAL_EXPECT_ERROR(check_room_for(plan_, cache()), kExhausted, "steps of this run");
  plan_.units.pop_back();
  FRUGAL_EXPECT_OK(check_room_for(plan_, cache()));
}

TEST_F(DiskRoom, WhatIsInTheCacheNeedsNone) {
  add("a", kTooMuch);
  add("b", kTooMuch);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const FileLock lock, cache().lock("a"));
  FRUGAL_ASSERT_OK(cache().begin("a"));
  FRUGAL_ASSERT_OK(cache().publish("a", base::Json::object()));
  FRUGAL_EXPECT_ERROR(check_room_for(plan_, cache()), kExhausted,
                      "the 1 step of this run needs about ");
  plan_.units.pop_back();
  FRUGAL_EXPECT_OK(check_room_for(plan_, cache()));
}

TEST_F(DiskRoom, AStepMayNeedATenthMore) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const int64_t free, base::free_bytes(folder_.path()));
  // Fits as forecast, with room for others to write meanwhile, but not with a tenth more.
  add("a", static_cast<int64_t>(static_cast<double>(free - kSpare) / 1.05));
  FRUGAL_EXPECT_OK(check_room_for(plan_, cache()));
  FRUGAL_EXPECT_ERROR(check_room_for(plan_.units[0], cache()), kExhausted, "it needs about ");
}

TEST_F(DiskRoom, AModelThatIsMadeIsItsOwnForecast) {
  add("a", std::nullopt);
  Unit& unit = plan_.units[0];
  unit.model.size_bytes = kTooMuch;
  FRUGAL_EXPECT_OK(check_room_for(unit, cache()));  // never checked: nothing is known
  unit.checked = true;
  FRUGAL_EXPECT_ERROR(check_room_for(unit, cache()), kExhausted, "it needs about ");
  unit.pass = find_pass(test::toy_registry(), "judge");  // leaves its input as it is
  FRUGAL_EXPECT_OK(check_room_for(unit, cache()));
}

}  // namespace
}  // namespace frugal::pass
