#include <gtest/gtest.h>

#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

TEST(Summary, SaysWhatTheJournalSays) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json report, summarize(sample_journal()));
  EXPECT_EQ(report["name"], "sample </script><b>");
  EXPECT_EQ(report["status"], "done");
  EXPECT_EQ(report["command"], "frugal run sample.yaml");
  EXPECT_EQ(report["journal_sha256"], std::string(64, 'a'));
  EXPECT_EQ(report["provenance"]["meters"][0]["scope"], "CPU (model)");
  EXPECT_EQ(report["provenance"]["meters"][1]["detail"], "no NVIDIA driver");
  ASSERT_EQ(report["models"].size(), 2u);
  const base::Json& student = report["models"][1];
  EXPECT_EQ(student["name"], "small/q4_0");
  EXPECT_EQ(student["cells"]["weight_bytes"]["value"], 1e6);
  EXPECT_EQ(student["cells"]["weight_bytes"]["source"], "small/q4_0");
  const base::Json& accuracy = student["cells"]["sentiment/accuracy"];
  EXPECT_EQ(accuracy["value"], 0.945);
  EXPECT_EQ(accuracy["low"], 0.945 - 0.02);
  EXPECT_EQ(accuracy["source"], "quality/small/q4_0");
}

TEST(Summary, TheVerdictIsTheJournals) {
  for (const auto& [said, status] :
       {std::pair{"claimed", "kept"}, {"not claimed", "lost"}, {"", "not_shown"}}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json report, summarize(sample_journal(said)));
    EXPECT_EQ(report["verdict"]["status"], status) << said;
  }
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
