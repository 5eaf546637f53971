#include "energy/window.h"

#include <limits>

#include "fakes.h"
#include "support/shared_data.h"

namespace frugal::energy {
namespace {

MeterWindow between(uint64_t begin, uint64_t end, int64_t wraps = 0) {
  MeterWindow window;
  window.info = fake_info("m");
  window.begin = Reading{begin, 1};
  window.end = Reading{end, 11};
  window.seconds = 10;
  window.wraps = wraps;
  window.joules = joules_between(window);
  if (window.joules) window.mean_watts = *window.joules / 10;
  return window;
}

WindowResult result_of(std::vector<MeterWindow> meters) {
  WindowResult result;
  result.meters = std::move(meters);
  return result;
}

TEST(Window, JoulesAreExactInTheRawUnit) {
  EXPECT_EQ(joules_between(between(1000, 3500)), 2.5);
  EXPECT_EQ(joules_between(between(7, 7)), 0);
  EXPECT_EQ(joules_between(between(8, 7)), std::nullopt);
  // Beyond 2^53 a difference of doubles would be zero.
  const uint64_t large = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(joules_between(between(large - 1000, large)), 1.0);
  MeterWindow open = between(1, 2);
  open.end = std::nullopt;
  EXPECT_EQ(joules_between(open), std::nullopt);
}

TEST(Window, WrapsAddTheRange) {
  MeterWindow window = between(900, 100, 1);
  EXPECT_EQ(joules_between(window), std::nullopt);  // a wrap without a range means nothing
  window.info.wrap_units = 1000;
  EXPECT_EQ(joules_between(window), 0.2);
  window.wraps = 3;
  EXPECT_EQ(joules_between(window), 2.2);
}

TEST(Window, TotalsAreAsGoodAsTheirWeakestPart) {
  MeterWindow gpu = between(0, 5000), cpu = between(0, 1000);
  cpu.info.provenance = Provenance::kModelled;
  WindowResult result = result_of({gpu, cpu});
  EXPECT_EQ(result.total_joules().value, 6);
  EXPECT_EQ(result.total_joules().provenance, Provenance::kModelled);
  EXPECT_EQ(result.total_joules().basis, "scope of m + scope of m");
  EXPECT_EQ(result.total_net_joules().value, std::nullopt);  // no idle power yet
  result.meters[0].joules = std::nullopt;
  result.meters[0].reason = "the last reading failed";
  EXPECT_EQ(result.total_joules().value, std::nullopt);  // not 1: a part is unknown
  EXPECT_THAT(result.total_joules().basis, testing::HasSubstr("the last reading failed"));
  EXPECT_EQ(WindowResult{}.total_joules().value, std::nullopt);
}

// A model's range goes through sums; a measured part adds no doubt.
TEST(Window, TotalsCarryTheRangeOfAModel) {
  MeterWindow gpu = between(0, 5000), cpu = between(0, 1000);
  cpu.info.provenance = Provenance::kModelled;
  cpu.info.whole_device = false;
  cpu.info.joules_per_unit_range = Range{0.5e-3, 3e-3};
  WindowResult result = result_of({gpu, cpu});
  EXPECT_FALSE(result_of({gpu}).total_joules().range.has_value());
  ASSERT_TRUE(result.total_joules().range.has_value());
  EXPECT_DOUBLE_EQ(result.total_joules().range->low, 5.5);
  EXPECT_DOUBLE_EQ(result.total_joules().range->high, 8);
  apply_idle(result, {{"m", 0.1, {}, {}}});
  EXPECT_DOUBLE_EQ(*result.total_net_joules().value,
                   5);  // 5 J - 0.1 W · 10 s, and 1 J of the process
  EXPECT_DOUBLE_EQ(result.total_net_joules().range->low, 4.5);
  EXPECT_DOUBLE_EQ(result.total_net_joules().range->high, 7);
  result.meters[1].joules = std::nullopt;
  EXPECT_FALSE(result.total_joules().range.has_value());
}

TEST(Window, WhatStandsBesideIsInNoSum) {
  MeterWindow package = between(0, 5000), cores = between(0, 4000), platform = between(0, 9000);
  cores.info.in_total = platform.info.in_total = false;
  platform.joules = std::nullopt;  // nor does it make the sum unknown
  EXPECT_EQ(result_of({cores, package, platform}).total_joules().value, 5);
  EXPECT_EQ(result_of({cores}).total_joules().value, std::nullopt);
}

TEST(Window, MarksStayOnSums) {
  MeterWindow first = between(0, 5000), second = between(0, 1000);
  first.marks = {std::string(kShort)};
  second.marks = {std::string(kGaps), std::string(kShort)};
  const Figure total = result_of({first, second}).total_joules();
  EXPECT_THAT(total.marks, testing::ElementsAre(kShort, kGaps));
  EXPECT_THAT(scaled(total, 2, "J").marks, testing::ElementsAre(kShort, kGaps));
  EXPECT_EQ(to_json(total)["marks"].dump(), R"(["short window","readings failed"])");
  EXPECT_FALSE(to_json(result_of({between(0, 1)}).total_joules()).contains("marks"));
}

TEST(Window, IdlePowerIsTheMeanOfBeforeAndAfter) {
  const WindowResult before = result_of({between(0, 20000)}),
                     after = result_of({between(0, 21000)});
  const auto idle = idle_power(before, &after);
  ASSERT_EQ(idle.size(), 1u);
  EXPECT_DOUBLE_EQ(*idle[0].watts, 2.05);
  EXPECT_DOUBLE_EQ(*idle_power(before)[0].watts, 2);
  WindowResult failed = before;
  failed.meters[0].mean_watts = std::nullopt;
  EXPECT_DOUBLE_EQ(*idle_power(failed, &after)[0].watts, 2.1);
  EXPECT_EQ(idle_power(failed)[0].watts, std::nullopt);
}

TEST(Window, NetIsGrossLessIdle) {
  const WindowResult quiet = result_of({between(0, 20000)});
  WindowResult work = result_of({between(0, 50000)});
  apply_idle(work, idle_power(quiet));
  EXPECT_DOUBLE_EQ(*work.meters[0].net_joules, 30);  // 50 J − 2 W · 10 s
  EXPECT_TRUE(work.meters[0].warnings.empty());
  WindowResult less = result_of({between(0, 10000)});
  apply_idle(less, idle_power(quiet));
  EXPECT_DOUBLE_EQ(*less.meters[0].net_joules, -10);  // shown, not hidden
  EXPECT_EQ(less.meters[0].warnings.size(), 1u);
  EXPECT_THAT(less.meters[0].marks, testing::ElementsAre(kBelowIdle));
  WindowResult unknown = result_of({between(0, 50000)});
  apply_idle(unknown, {});
  EXPECT_EQ(unknown.meters[0].net_joules, std::nullopt);
}

TEST(Window, AProcessOnlyMeterHasNoIdlePart) {
  WindowResult quiet = result_of({between(0, 20000)}), work = result_of({between(0, 50000)});
  for (WindowResult* result : {&quiet, &work}) result->meters[0].info.whole_device = false;
  EXPECT_TRUE(idle_power(quiet).empty());
  apply_idle(work, idle_power(quiet));
  EXPECT_EQ(work.meters[0].net_joules, 50);
  EXPECT_EQ(work.meters[0].idle_watts, std::nullopt);
}

TEST(Window, AnUnrestfulMachineIsWarnedAbout) {
  const WindowResult before = result_of({between(0, 20000)}),
                     after = result_of({between(0, 30000)});
  WindowResult work = result_of({between(0, 50000)});
  apply_idle(work, idle_power(before, &after));
  ASSERT_EQ(work.meters[0].warnings.size(), 1u);
  EXPECT_THAT(work.meters[0].warnings[0], testing::HasSubstr("not at rest"));
  EXPECT_THAT(work.meters[0].marks, testing::ElementsAre(kRestless));
}

}  // namespace
}  // namespace frugal::energy
