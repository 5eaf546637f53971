#include "report/findings.h"

#include <gtest/gtest.h>

#include "report/models.h"
#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

using ::testing::HasSubstr;

base::Json verdict_of(const JournalView& journal) {
  return verdict(journal, collect_models(journal, "teacher"), collect_comparisons(journal));
}

TEST(Verdict, KeepsWhatAComparisonClaimed) {
  const base::Json result = verdict_of(sample_journal("claimed"));
  EXPECT_EQ(result["status"], "kept");
  EXPECT_THAT(result["sentence"].get<std::string>(),
              HasSubstr("small/q4_0 keeps sentiment/accuracy within 2.0 points of teacher"));
  EXPECT_THAT(result["sentence"].get<std::string>(),
              HasSubstr("12% of its bytes"));  // 1e6 of 8e6: 12.5 rounds to even
  EXPECT_THAT(result["detail"].get<std::string>(), HasSubstr("n = 1000"));
}

TEST(Verdict, TooFewItemsIsSaidAndClaimsNothing) {
  const base::Json result = verdict_of(sample_journal("too few items"));
  EXPECT_EQ(result["status"], "not_shown");
  EXPECT_THAT(result["sentence"].get<std::string>(), HasSubstr("too few items to tell"));
}

TEST(Verdict, ARefutedClaimIsLost) {
  EXPECT_EQ(verdict_of(sample_journal("not claimed"))["status"], "lost");
}

TEST(Verdict, AFailedStepComesBeforeEverything) {
  JournalView journal = sample_journal();
  journal.steps.push_back({{"event", "step_failed"},
                           {"id", "gguf"},
                           {"pass", "export"},
                           {"key", "k"},
                           {"error", "disk full"}});
  const base::Json result = verdict_of(journal);
  EXPECT_EQ(result["status"], "failed");
  EXPECT_EQ(result["detail"], "disk full");
}

TEST(Verdict, AnUntestedClaimIsNotShown) {
  JournalView journal = sample_journal("");
  EXPECT_EQ(verdict_of(journal)["status"], "not_shown");
}

TEST(Verdict, NoClaimIsSaid) {
  JournalView journal = sample_journal();
  journal.run_start["report"] = {{"baseline", nullptr},
                                 {"claim", nullptr}};  // as the runner writes it
  EXPECT_EQ(verdict_of(journal)["status"], "no_claim");
}

TEST(Tradeoff, MarksDominatedModels) {
  JournalView journal = sample_journal();
  journal.steps.push_back(checkpoint_step("worse", "", "quantize", 2e6));
  base::Json worse = evaluation_step("worse", 0.90, "");
  worse["statistics"][2]["value"] = 0.9;  // more joules and less accuracy than small/q4_0
  journal.steps.push_back(worse);
  const base::Json figure =
      tradeoff_figure(collect_models(journal, "teacher"), "sentiment/accuracy");
  ASSERT_EQ(figure["points"].size(), 3u);
  EXPECT_EQ(figure["x"], "decode/joules_per_token");
  for (const base::Json& point : figure["points"])
    EXPECT_EQ(point["dominated"].get<bool>(), point["model"] != "teacher") << point;
}

TEST(Tradeoff, FallsBackToSizeAndSaysSo) {
  JournalView journal = sample_journal();
  for (base::Json& step : journal.steps) {
    if (step["pass"] == "evaluate") step["statistics"].erase(2);
  }
  const base::Json figure =
      tradeoff_figure(collect_models(journal, "teacher"), "sentiment/accuracy");
  EXPECT_EQ(figure["x"], "weight_bytes");
  EXPECT_THAT(figure["note"].get<std::string>(), HasSubstr("unknown"));
}

TEST(LayerError, BecomesAMatrixPerVariant) {
  const base::Json figure = layer_error_figure(sample_journal());
  ASSERT_EQ(figure["variants"].size(), 1u);
  EXPECT_EQ(figure["variants"][0]["matrices"], (base::Json{"q_proj", "down_proj"}));
  EXPECT_EQ(figure["variants"][0]["values"], (base::Json{{0.01, 0.03}}));
  EXPECT_THAT(figure["finding"].get<std::string>(), HasSubstr("3%"));
}

TEST(Derived, JoulesPerTokenBecomePerMillion) {
  const JournalView journal = sample_journal();
  const base::Json figure = derived_figure(journal, collect_models(journal, "teacher"));
  EXPECT_EQ(figure["rows"][0]["joules"]["value"], 0.5e6);
  EXPECT_EQ(figure["assumptions"][0]["value"], 400);
}

TEST(Steps, EnergyKeepsItsProvenance) {
  const base::Json figure = steps_figure(sample_journal());
  EXPECT_EQ(figure["rows"][0]["energy"]["value"], 50.0);
  EXPECT_EQ(figure["rows"][0]["energy"]["provenance"], "modelled");
}

}  // namespace
}  // namespace frugal::report
