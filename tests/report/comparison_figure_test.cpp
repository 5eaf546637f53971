#include "report/findings.h"
#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

using base::Json;

Json figure_of(const JournalView& journal) {
  return comparison_figure(journal, collect_comparisons(journal));
}

TEST(Comparisons, KnowWhatComputedThem) {
  const Json rows = collect_comparisons(served_journal(40));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["model"], "small/q4_0");
  EXPECT_EQ(rows[0]["served"], false);
  EXPECT_EQ(rows[1]["model"], "gguf/small-q4_0");
  EXPECT_EQ(rows[1]["served"], true);
  EXPECT_EQ(rows[1]["engine"], "llama.cpp (xllamacpp 1.0)");
}

TEST(Comparisons, EachMetricIsOfItsOwnAndTheClaimedOneFirst) {
  JournalView journal = sample_journal();
  Json other = journal.steps[3]["tables"]["comparison"][0];
  other["metric"] = "perplexity";
  other["low"] = 0.1;
  other["high"] = 0.3;
  auto& rows = journal.steps[3]["tables"]["comparison"];
  rows.insert(rows.begin(), other);
  const Json figure = figure_of(journal);
  ASSERT_EQ(figure["groups"].size(), 2u);
  EXPECT_EQ(figure["groups"][0]["metric"], "sentiment/accuracy");
  EXPECT_EQ(figure["groups"][0]["margin"], 0.02);
  EXPECT_EQ(figure["groups"][0]["unit"], "fraction");
  EXPECT_EQ(figure["groups"][0]["differ"], 0);  // -1.5 to +0.5 points
  EXPECT_EQ(figure["finding"], "No model differs from teacher on sentiment/accuracy beyond chance");
  EXPECT_EQ(figure["groups"][1]["differ"], 1);
  EXPECT_TRUE(figure["groups"][1]["margin"].is_null());
  EXPECT_EQ(figure["all"].size(), 2u);
}

TEST(Comparisons, ADifferenceBeyondChanceIsCounted) {
  JournalView journal = sample_journal();
  journal.steps[3]["tables"]["comparison"][0]["high"] = -0.001;
  EXPECT_EQ(figure_of(journal)["finding"],
            "1 of 1 model differs from teacher on sentiment/accuracy beyond chance");
}

// Of artifacts and the checkpoints that they were made of the artifacts are drawn.
TEST(Comparisons, TheServedOnesAreDrawn) {
  const Json figure = figure_of(served_journal(40));
  ASSERT_EQ(figure["groups"][0]["rows"].size(), 1u);
  EXPECT_EQ(figure["groups"][0]["rows"][0]["model"], "gguf/small-q4_0");
  EXPECT_EQ(figure["all"].size(), 2u);
}

TEST(Comparisons, NoneIsNoFigure) { EXPECT_TRUE(figure_of(sample_journal("")).is_null()); }

}  // namespace
}  // namespace frugal::report
