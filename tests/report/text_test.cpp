#include <gtest/gtest.h>

#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Csv, HasOneRowPerModelAndMetric) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json report, summarize(sample_journal()));
  const std::string csv = render_csv(report);
  EXPECT_THAT(csv, HasSubstr("small/q4_0,sentiment/accuracy,0.945,"));
  EXPECT_THAT(csv, HasSubstr("model,metric,value,low,high"));
}

TEST(Csv, QuotesWhatNeedsIt) {
  JournalView journal = sample_journal();
  journal.steps[2]["statistics"][1]["name"] = "a,\"b\"";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json report, summarize(journal));
  EXPECT_THAT(render_csv(report), HasSubstr("\"a,\"\"b\"\"\""));
}

TEST(Text, DropsColumnsThatDoNotFitAndKeepsTheVerdict) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json report, summarize(sample_journal()));
  EXPECT_THAT(render_text(report, 120), HasSubstr("perplexity"));
  const std::string narrow = render_text(report, 44);
  EXPECT_THAT(narrow, Not(HasSubstr("perplexity")));
  EXPECT_THAT(narrow, HasSubstr("small/q4_0 keeps"));
}

}  // namespace
}  // namespace frugal::report
