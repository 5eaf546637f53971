#include <gtest/gtest.h>

#include "base/file.h"
#include "report/report.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

absl::StatusOr<JournalView> read(const std::string& text) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "journal.jsonl";
  EXPECT_TRUE(base::write_file_atomically(path, text).ok());
  return read_journal(path);
}

TEST(JournalView, TakesTheLastRun) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const JournalView view,
      read("{\"event\":\"run_start\",\"name\":\"a\"}\n{\"event\":\"step_end\",\"id\":\"x\"}\n"
           "{\"event\":\"run_start\",\"name\":\"b\"}\n{\"event\":\"step_end\",\"id\":\"y\"}\n"));
  EXPECT_EQ(view.run_start["name"], "b");
  ASSERT_EQ(view.steps.size(), 1u);
  EXPECT_EQ(view.steps[0]["id"], "y");
}

TEST(JournalView, ATornLastLineIsLeftOut) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const JournalView view,
                              read("{\"event\":\"run_start\"}\n{\"event\":\"step_e"));
  EXPECT_TRUE(view.steps.empty());
}

TEST(JournalView, DamageIsNamed) {
  FRUGAL_EXPECT_ERROR(read("{\"event\":\"run_start\"}\nnonsense\n"),
                      absl::StatusCode::kInvalidArgument, "line 2");
  FRUGAL_EXPECT_ERROR(read("{\"event\":\"run_start\"}\n[1]\n"), absl::StatusCode::kDataLoss,
                      "line 2");
  FRUGAL_EXPECT_ERROR(read(""), absl::StatusCode::kDataLoss, "no run_start");
}

TEST(JournalView, AbsentFileIsAnError) {
  EXPECT_FALSE(read_journal("/nonexistent/journal.jsonl").ok());
}

TEST(JournalViewTexts, WhatIsNoTextInAListOfTextsIsNamed) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "journal.jsonl";
  for (const char* key : {"from", "warnings"}) {
    const base::Json step = {{"event", "step_end"}, {"id", "small"}, {key, {7}}};
    FRUGAL_ASSERT_OK(
        base::write_file_atomically(path, "{\"event\":\"run_start\"}\n" + step.dump() + "\n"));
    FRUGAL_EXPECT_ERROR(read_journal(path), absl::StatusCode::kDataLoss, key);
  }
}

}  // namespace
}  // namespace frugal::report
