#include <gtest/gtest.h>

#include "base/text.h"
#include "report/architectures.h"
#include "report/findings.h"
#include "report/models.h"
#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

using ::testing::HasSubstr;

base::Json verdict_of(const JournalView& journal) {
  const base::Json models = collect_models(journal, "teacher");
  return verdict(journal, models, collect_comparisons(journal),
                 collect_architectures(journal, models));
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
}

}  // namespace
}  // namespace frugal::report
