#include "report/architectures.h"

#include <gtest/gtest.h>

#include "report/models.h"
#include "sample_journal.h"

namespace frugal::report {
namespace {

base::Json architectures_of(const JournalView& journal) {
  return collect_architectures(journal, collect_models(journal, "teacher"));
}

TEST(Architectures, ModelsOfOneShareOneNumber) {
  const base::Json all = architectures_of(sample_journal());
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0]["architecture"], "Llama 2L");
  EXPECT_EQ(all[0]["models"], (base::Json{"teacher", "small/q4_0"}));
  const base::Json joules = all[0]["cells"]["joules_per_million_tokens"];
  EXPECT_EQ(joules["value"], 120.5);  // of 100 and 141
  EXPECT_EQ(joules["low"], 98.0);
  EXPECT_EQ(joules["high"], 143.0);
  EXPECT_EQ(joules["n"], 20);
  EXPECT_EQ(joules["source"], "speed/teacher, speed/small/q4_0");
}

TEST(Architectures, TheWeakestProvenanceCounts) {
  JournalView journal = sample_journal();
  journal.steps.back()["statistics"][0]["provenance"] = "modelled";
  EXPECT_EQ(architectures_of(journal)[0]["cells"]["joules_per_million_tokens"]["provenance"],
            "modelled");
}

TEST(Architectures, OneUnknownNumberIsNotAveragedAway) {
  JournalView journal = sample_journal();
  journal.steps.back()["statistics"][0]["value"] = nullptr;
  EXPECT_TRUE(
      architectures_of(journal)[0]["cells"]["joules_per_million_tokens"]["value"].is_null());
}

TEST(Architectures, UnknownOnesAreNotThrownTogether) {
  JournalView journal = sample_journal();
  for (const size_t step : {0, 1}) journal.steps[step]["output"].erase("architecture");
  const base::Json all = architectures_of(journal);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1]["architecture"], "small/q4_0");
}

// Training speed is a statistic of the same name.
TEST(Architectures, OnlyMeasureStepsCount) {
  JournalView journal = sample_journal();
  journal.steps[0]["statistics"] = {statistic("tokens_per_second", 7.0, "tokens/s")};
  journal.steps.resize(4);
  EXPECT_TRUE(architectures_of(journal).empty());
  EXPECT_TRUE(architectures_figure(architectures_of(journal)).is_null());
}

TEST(Architectures, AGivenModelHasTheOneThatTheRunStartTells) {
  JournalView journal = sample_journal();
  journal.steps.erase(journal.steps.begin());  // the teacher is given, not made
  journal.run_start["models"] = {{"teacher", {{"architecture", "Llama 3L"}, {"weight_bytes", 9}}}};
  const base::Json models = collect_models(journal, "teacher");
  const base::Json* teacher = find_model(models, "teacher");
  ASSERT_NE(teacher, nullptr);
  EXPECT_EQ((*find_number(*teacher, "weight_bytes"))["value"], 9);
  EXPECT_TRUE(of_other_architecture(*teacher, *find_model(models, "small/q4_0")));
  EXPECT_EQ(architectures_of(journal).size(), 2u);
}

// What makes one model's number less sure makes the mean less sure; a range is the mean's.
TEST(Architectures, MarksAndRangesStayOnMeans) {
  JournalView journal = sample_journal();
  journal.steps[5]["statistics"][0]["marks"] = {"short window"};
  journal.steps[5]["statistics"][0]["range"] = {{"low", 41}, {"high", 341}};
  const base::Json rows = collect_architectures(journal, collect_models(journal, "teacher"));
  ASSERT_EQ(rows.size(), 1u);  // both are of one architecture
  const base::Json& number = rows[0]["cells"]["joules_per_million_tokens"];
  EXPECT_EQ(number["marks"].dump(), R"(["short window"])");
  EXPECT_EQ(number["range"].dump(), R"({"low":70.5,"high":220.5})");  // the other is a point, 100
}

}  // namespace
}  // namespace frugal::report
