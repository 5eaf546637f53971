#include "report/models.h"

#include <gtest/gtest.h>

#include "sample_journal.h"

namespace frugal::report {
namespace {

TEST(Models, EvaluationsDescribeTheirInput) {
  const base::Json models = collect_models(sample_journal(), "teacher");
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0]["role"], "baseline");
  EXPECT_EQ(models[1]["name"], "small/q4_0");
  EXPECT_EQ((*find_number(models[1], "sentiment/accuracy"))["value"], 0.945);
  EXPECT_EQ((*find_number(models[1], "weight_bytes"))["value"], 1e6);
}

TEST(Models, UnknownStaysUnknown) {
  JournalView journal = sample_journal();
  journal.steps[3]["statistics"][1]["value"] = nullptr;
  const base::Json models = collect_models(journal, "teacher");
  EXPECT_EQ(find_number(models[1], "perplexity"), nullptr);
  EXPECT_TRUE(models[1]["cells"]["perplexity"]["value"].is_null());
}

TEST(Models, ColumnsComeInTheirOrderAndOnlyWhereKnown) {
  const base::Json columns = collect_columns(collect_models(sample_journal(), "teacher"));
  ASSERT_EQ(columns.size(), 3u);  // what is of the architecture is no column of the models
  EXPECT_EQ(columns[0]["key"], "weight_bytes");
  EXPECT_EQ(columns[1]["title"], "sentiment accuracy");
  EXPECT_EQ(columns[1]["better"], "higher");
  EXPECT_EQ(columns[2]["better"], "lower");
}

TEST(Models, EnergyOfAModelledCpuHasItsRange) {
  const base::Json number = energy_number(checkpoint_step("a", "", "train", 1));  // 50 J
  EXPECT_EQ(number["value"], 50.0);
  EXPECT_DOUBLE_EQ(number["range"]["low"].get<double>(), 25);
  EXPECT_DOUBLE_EQ(number["range"]["high"].get<double>(), 150);
}

TEST(Models, EnergyThatNobodyReadIsNullWithAReason) {
  base::Json step = checkpoint_step("a", "", "train", 1);
  step["energy"] = nullptr;
  step["energy_reason"] = "no meter";
  const base::Json number = energy_number(step);
  EXPECT_TRUE(number["value"].is_null());
  EXPECT_EQ(number["reason"], "no meter");
}

}  // namespace
}  // namespace frugal::report
