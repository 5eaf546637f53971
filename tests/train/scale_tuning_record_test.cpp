#include "train/scale_tuning_record.h"

#include <gtest/gtest.h>

#include "support/shared_data.h"

namespace frugal::train {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

ScaleTuningResult some_result() {
  return {.steps = 20,
          .tokens = 4096,
          .best_step = 15,
          .training = {.before = 0.75, .after = 0.125},
          .validation = {.before = 0.5, .after = 0.25},
          .curve = {{1, 0.5}, {2, 0.1}},
          .validations = {{0, 0.5}, {20, 0.25}},
          .trained_parameters = 7,
          .seconds = 3};
}

TEST(ScaleTuningRecord, AResultGoesOnAfterItsSteps) {
  const base::Json record =
      base::parse_json(to_json(some_result()).dump(), "record").value();  // as the file has it
  ScaleTuningResult result;
  result.trained_parameters = 9;
  result.seconds = 1;
  FRUGAL_ASSERT_OK(take_record(record, "file", result));
  EXPECT_EQ(result.steps, 20);
  EXPECT_EQ(result.resumed_from, 20);
  EXPECT_EQ(result.tokens, 4096);
  EXPECT_EQ(result.best_step, 15);
  EXPECT_EQ(result.validation.before, 0.5);
  EXPECT_EQ(result.validation.after, 0.25);
  EXPECT_EQ(result.training.before, 0.75);
  EXPECT_EQ(result.training.after, 0);  // measured at the end of the run that goes on
  ASSERT_EQ(result.curve.size(), 2u);
  EXPECT_EQ(result.curve[1].step, 2);
  EXPECT_EQ(result.curve[1].divergence, 0.1);
  ASSERT_EQ(result.validations.size(), 2u);
  EXPECT_EQ(result.validations[1].step, 20);
  EXPECT_EQ(result.trained_parameters, 9);  // of this run
  EXPECT_EQ(result.seconds, 1);
}

TEST(ScaleTuningRecord, NothingDoneIsARecordToo) {
  ScaleTuningResult result = some_result();
  FRUGAL_ASSERT_OK(take_record(to_json(ScaleTuningResult{}), "file", result));
  EXPECT_EQ(result.steps, 0);
  EXPECT_TRUE(result.curve.empty());
}

TEST(ScaleTuningRecord, FieldsOfAnotherTypeAreNamedWithTheFile) {
  const base::Json good = to_json(some_result());
  for (const auto& [key, value] : good.items()) {
    ScaleTuningResult result;
    base::Json bad = good;
    bad[key] = "text";
    FRUGAL_EXPECT_ERROR(take_record(bad, "the file", result), kInvalid, "the file");
    FRUGAL_EXPECT_ERROR(take_record(bad, "the file", result), kInvalid, key);
    bad[key] = nullptr;
    FRUGAL_EXPECT_ERROR(take_record(bad, "the file", result), kInvalid, key);
    bad.erase(key);
    FRUGAL_EXPECT_ERROR(take_record(bad, "the file", result), kInvalid, key);
  }
  ScaleTuningResult result;
  base::Json bad = good;
  bad["curve"][1].erase("divergence");
  FRUGAL_EXPECT_ERROR(take_record(bad, "the file", result), kInvalid, "'divergence' is missing");
}

}  // namespace
}  // namespace frugal::train
