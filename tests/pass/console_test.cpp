#include "pass/console.h"

#include <gtest/gtest.h>

#include "pass/table.h"
#include "toy.h"

namespace frugal::pass {
namespace {

TEST(Console, NumbersAreShort) {
  EXPECT_EQ(short_number(0.81249), "0.8125");
  EXPECT_EQ(short_number(1234567), "1,234,567");
  EXPECT_EQ(short_number(23456.7), "23,457");
  EXPECT_EQ(short_number(base::Json()), "unknown");
  EXPECT_EQ(short_number(0), "0");
}

TEST(Console, ShowsTheFirstStatisticsWithIntervals) {
  const base::Json statistics = base::Json::parse(
      R"([{"name": "joules", "value": null, "unit": "J"}, {"name": "acc", "value": 0.8, "low": 0.75, "high": 0.85, "unit": ""},
      {"name": "size", "value": 12, "unit": "bytes"}, {"name": "hidden", "value": 1}])");
  EXPECT_EQ(key_statistics(statistics, 2), "acc 0.8 [0.75, 0.85], size 12 bytes");
}

TEST(Console, OneLinePerStep) {
  test::Workshop shop;
  const Plan plan = shop.plan(
      "frugal: 1\nname: toy\nmodels: {teacher: teacher}\nsteps: [{id: a, pass: scale, with: "
      "{factor: 2}}]\n");
  Console console(plan, OutputStyle::kText, false);
  testing::internal::CaptureStdout();
  console.begin("runs/toy", std::nullopt);
  console.step(
      0,
      base::Json::parse(
          R"({"cached": false, "seconds": 2, "statistics": [{"name": "x", "value": 1.5, "unit": ""}],
      "energy": {"seconds": 2.0, "total_joules": {"value": 90.0, "provenance": "modelled"}}})"));
  console.step(
      0, base::Json::parse(R"({"cached": true, "seconds": 2, "statistics": [], "energy": null})"));
  console.failed(0, "it broke");
  EXPECT_EQ(testing::internal::GetCapturedStdout(),
            "toy: 1 step, into runs/toy\n"
            "[1/1] a  scale  2.0 s       ~45 W     x 1.5\n"
            "[1/1] a  scale  cached\n"
            "[1/1] a  scale  FAILED  it broke\n");
}

// What the plan wants known, and how long it will take, is said before the work.
TEST(Console, SaysTheForecastAndNotesFirst) {
  test::Workshop shop;
  Plan plan = shop.plan(
      "frugal: 1\nname: toy\nmodels: {teacher: teacher}\nsteps: [{id: a, pass: scale, with: "
      "{factor: 2}}]\n");
  plan.units[0].notes = {"mind this"};
  Console console(plan, OutputStyle::kText, false);
  testing::internal::CaptureStdout();
  console.begin("runs/toy", 30);
  console.begin("runs/toy", 600);
  console.starts(0);
  EXPECT_EQ(testing::internal::GetCapturedStdout(),
            "toy: 1 step, into runs/toy\n"
            "toy: 1 step, into runs/toy; about 10 min 00 s by the forecast\n"
            "note: a: mind this\n");
}

TEST(Table, AlignsByCharactersNotBytes) {
  Table table({"a", "n"});
  table.align_right({1});
  table.row({"±", "10"});
  table.row({"xyz", "7"});
  EXPECT_EQ(table.text(), "a     n\n±    10\nxyz   7\n");
}

}  // namespace
}  // namespace frugal::pass
