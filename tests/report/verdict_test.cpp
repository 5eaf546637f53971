#include <gtest/gtest.h>

#include <cmath>

#include "base/text.h"
#include "report/architectures.h"
#include "report/energy_comparison.h"
#include "report/findings.h"
#include "report/models.h"
#include "report/served.h"
#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

using ::testing::HasSubstr;

base::Json verdict_of(const JournalView& journal) {
  const base::Json models = collect_models(journal, "teacher");
  return verdict(journal, models, collect_comparisons(journal),
                 collect_architectures(journal, models), collect_served(journal, models, "teacher"),
                 energy_comparison_figure(journal));
}

TEST(Verdict, KeepsWhatAComparisonClaimed) {
  const base::Json result = verdict_of(sample_journal("claimed"));
  EXPECT_EQ(result["status"], "kept");
  EXPECT_THAT(result["sentence"].get<std::string>(),
              HasSubstr("small/q4_0 keeps sentiment/accuracy within 2.0 points of teacher"));
  EXPECT_THAT(result["sentence"].get<std::string>(),
              HasSubstr("12% of its bytes."));  // 1e6 of 8e6: 12.5 rounds to even
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

// Joules of the own forward say nothing about the grids of one architecture, however far apart they
// came out.
TEST(Verdict, JoulesOfOneArchitectureDecideNothing) {
  JournalView journal = sample_journal("claimed");
  for (const double joules : {1.0, 1000.0}) {
    journal.steps.back() = measure_step("small/q4_0", joules);
    EXPECT_EQ(verdict_of(journal).dump().find("joules"), std::string::npos);
  }
  // An unknown architecture may be the same one.
  journal.steps[1]["output"].erase("architecture");
  EXPECT_EQ(verdict_of(journal).dump().find("joules"), std::string::npos);
}

TEST(Verdict, AnotherArchitectureSavesJoulesOfItsOwn) {
  JournalView journal = sample_journal("claimed");
  journal.steps[1]["output"]["architecture"] = "Llama 1L";
  journal.steps.back() = measure_step("small/q4_0", 41);
  EXPECT_THAT(verdict_of(journal)["sentence"].get<std::string>(),
              HasSubstr("and 0.41 times its architecture's joules per token (measured)."));
  journal.steps.back() = measure_step("small/q4_0", 97);  // 95 to 99 beside 98 to 102
  EXPECT_EQ(verdict_of(journal).dump().find("joules"), std::string::npos);
}

// What is shipped decides, and the verdict says what it is about.
TEST(Verdict, IsAboutTheArtifactInItsRuntime) {
  const base::Json result = verdict_of(served_journal(40));
  EXPECT_EQ(result["sentence"],
            "gguf/small-q4_0 in llama.cpp keeps sentiment/accuracy within 2.0 points of teacher at "
            "11% of its bytes and 0.40 times the joules per response of gguf/teacher (measured).");
  EXPECT_THAT(result["detail"].get<std::string>(),
              HasSubstr("A response takes 0.04 J (0.0392 to 0.0408), measured."));
  EXPECT_EQ(result["about"]["artifact"], "gguf/small-q4_0, small-q4_0.gguf");
  EXPECT_EQ(result["about"]["runtime"], "llama.cpp (xllamacpp 1.0)");
  EXPECT_EQ(result["about"]["machine"], "a CPU, 2 cores");
}

TEST(Verdict, ACheckpointKeepsNothingForItsArtifact) {
  JournalView journal = served_journal(40, "not claimed");
  journal.steps[3]["tables"]["comparison"][0]["verdict"] = "claimed";  // small/q4_0 in our forward
  EXPECT_EQ(verdict_of(journal)["status"], "lost");
}

TEST(Verdict, SaysThatJoulesAreNotToldApart) {
  EXPECT_THAT(verdict_of(served_journal(99))["sentence"].get<std::string>(),
              HasSubstr("and joules per response not told apart from those of gguf/teacher."));
  EXPECT_THAT(verdict_of(served_journal(120))["sentence"].get<std::string>(),
              HasSubstr("and 1.20 times the joules per response of gguf/teacher (measured)."));
}

// Rounds in which both took turns tell more than two intervals, and less than two lucky means.
TEST(Verdict, TheRatioIsThatOfTheTurns) {
  const auto sentence = [](double joules, double ratio, double spread) {
    JournalView journal = served_journal(joules);
    base::Json log_ratios = base::Json::array();
    for (int i = 0; i < 10; ++i) log_ratios.push_back(std::log(ratio) + spread * (i - 4.5) / 4.5);
    journal.steps.back()["tables"]["energy_comparison"] = {{{"metric", "joules_per_request"},
                                                            {"batch", 1},
                                                            {"reference", "gguf/teacher"},
                                                            {"marks", {"short window"}},
                                                            {"log_ratios", log_ratios}}};
    return verdict_of(journal)["sentence"].get<std::string>();
  };
  EXPECT_THAT(sentence(99, 0.9, 0.1), HasSubstr("and 0.90 [0."));
  EXPECT_THAT(sentence(99, 0.9, 0.1), HasSubstr("(measured, less sure: short window)"));
  EXPECT_THAT(sentence(40, 1.0, 0.3), HasSubstr("and joules per response not told apart"));
}

TEST(Verdict, ShortWindowsAreSaidBesideTheRatio) {
  JournalView journal = served_journal(40);
  journal.steps.back()["statistics"][1]["marks"] = {"short window"};
  EXPECT_THAT(verdict_of(journal)["sentence"].get<std::string>(),
              HasSubstr("(measured, less sure: short window)"));
}

TEST(Verdict, OfACheckpointSaysThatNoRuntimeServedIt) {
  const base::Json about = verdict_of(sample_journal())["about"];
  EXPECT_EQ(about["artifact"], "small/q4_0, a checkpoint");
  EXPECT_EQ(about["runtime"], "none: frugal's own forward computed it");
}

TEST(Verdict, ARelativeMarginIsAShareOfTheBaseline) {
  JournalView journal = sample_journal();
  journal.run_start["report"]["claim"]["kind"] = "relative";
  EXPECT_THAT(verdict_of(journal)["sentence"].get<std::string>(),
              HasSubstr("keeps sentiment/accuracy within 2% of teacher"));
}

}  // namespace
}  // namespace frugal::report
