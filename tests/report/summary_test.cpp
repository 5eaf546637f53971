#include <gtest/gtest.h>

#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

TEST(Summary, IsAFunctionOfTheJournal) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json first, summarize(sample_journal()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json second, summarize(sample_journal()));
  EXPECT_EQ(first.dump(), second.dump());
  EXPECT_EQ(first["status"], "done");
  EXPECT_EQ(first["provenance"]["meters"][1]["detail"], "no NVIDIA driver");
}

TEST(Summary, EveryShownNumberNamesItsSource) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json report, summarize(sample_journal()));
  for (const base::Json& model : report["models"]) {
    for (const auto& [metric, number] : model["cells"].items()) {
      EXPECT_TRUE(number.contains("source") && number.contains("provenance")) << metric;
    }
  }
}

TEST(Summary, AnEmptyRunIsStillAReport) {
  JournalView journal;
  journal.run_start = {{"event", "run_start"}, {"name", "empty"}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json report, summarize(journal));
  EXPECT_EQ(report["status"], "unfinished");
  EXPECT_TRUE(report["figures"]["tradeoff"].is_null());
}

TEST(Summary, ARecordWithoutItsKeysIsDamage) {
  JournalView journal = sample_journal();
  journal.steps[0].erase("key");
  FRUGAL_EXPECT_ERROR(summarize(journal), absl::StatusCode::kDataLoss, "'key'");
}

}  // namespace
}  // namespace frugal::report
