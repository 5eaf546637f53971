#include "report/metered.h"

#include <gtest/gtest.h>

#include "sample_journal.h"

namespace frugal::report {
namespace {

base::Json bounded(double low, double value, double high) {
  return {{"value", value}, {"low", low}, {"high", high}};
}

TEST(Metered, AnArtifactInItsRuntimeIsServed) {
  const base::Json step = in_runtime(measure_step("", 100), "gguf/q4_0");
  EXPECT_TRUE(is_served(step));
  EXPECT_EQ(engine_of(step), "llama.cpp (xllamacpp 1.0)");
}

TEST(Metered, OurOwnForwardIsNot) {
  base::Json step = measure_step("teacher", 100);
  EXPECT_FALSE(is_served(step));
  EXPECT_EQ(engine_of(step), "");  // of a version that did not tell
  step["tables"]["runtime"] = {{{"runtime", "frugal's fp32 forward"}, {"threads", 2}}};
  EXPECT_FALSE(is_served(step));
  EXPECT_EQ(engine_of(step), "frugal's fp32 forward");
}

TEST(Metered, ARequestComesInItsParts) {
  const base::Json numbers = step_numbers(with_parts(measure_step("teacher", 100), 0.5));
  EXPECT_DOUBLE_EQ(numbers["prefill_joules_per_request"]["value"].get<double>(), 0.1);  // a fifth
  EXPECT_DOUBLE_EQ(numbers["decode_joules_per_request"]["value"].get<double>(), 0.4);
  EXPECT_DOUBLE_EQ(numbers["idle_joules_per_request"]["value"].get<double>(), 0.25);
  EXPECT_EQ(numbers["time_to_first_token"]["value"], 0.02);
}

TEST(Metered, UnknownIdleHasAReason) {
  base::Json step = with_parts(measure_step("teacher", 100), 0.5);
  for (base::Json& number : step["statistics"]) {
    if (number["name"] != "net_joules_per_request/batch_1") continue;
    number["value"] = nullptr;
    number["help"] = "Unknown: no idle window";
  }
  const base::Json idle = step_numbers(step)["idle_joules_per_request"];
  EXPECT_TRUE(idle["value"].is_null());
  EXPECT_EQ(idle["reason"], "Unknown: no idle window");
}

// An evaluation tells nothing of a request.
TEST(Metered, OnlyMeasureStepsHaveParts) {
  base::Json step = with_parts(evaluation_step("teacher", 0.9, ""), 0.5);
  EXPECT_FALSE(step_numbers(step).contains("prefill_joules_per_request"));
}

TEST(Metered, AFactorMovesBoundsAndRange) {
  base::Json number = bounded(1, 2, 3);
  number["range"] = {{"low", 0.5}, {"high", 8}};
  EXPECT_EQ(scaled_number(number, 10).dump(),
            R"({"value":20.0,"low":10.0,"high":30.0,"range":{"low":5.0,"high":80.0}})");
}

TEST(Metered, OverlappingIntervalsAreNotToldApart) {
  EXPECT_EQ(told_apart(bounded(1, 2, 3), bounded(2.5, 4, 5), -1), 0);
  EXPECT_EQ(told_apart(bounded(1, 2, 3), bounded(3.5, 4, 5), -1), 1);  // fewer is better
  EXPECT_EQ(told_apart(bounded(1, 2, 3), bounded(3.5, 4, 5), 1), -1);
  EXPECT_EQ(told_apart({{"value", 7}}, {{"value", 7}}, 1), 0);
  EXPECT_EQ(told_apart({{"value", 8}, {"low", nullptr}}, {{"value", 7}}, 1), 1);
}

}  // namespace
}  // namespace frugal::report
