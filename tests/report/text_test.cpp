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

// The terminal tells what the page tells: artifacts first, then the checkpoints, then the verdict
// and what it is about.
TEST(Text, ServedArtifactsComeFirst) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json report, summarize(served_journal(40)));
  const std::string text = render_text(report, 200);
  const auto at = [&](const char* part) {
    EXPECT_THAT(text, HasSubstr(part));
    return text.find(part);
  };
  const size_t artifact = at("gguf/small-q4_0 (llama.cpp)"), checkpoint = at("\nsmall/q4_0"),
               verdict = at("gguf/small-q4_0 in llama.cpp keeps"),
               about = at("  runtime   llama.cpp (xllamacpp 1.0)\n");
  EXPECT_LT(artifact, checkpoint);
  EXPECT_LT(checkpoint, verdict);
  EXPECT_LT(verdict, about);
  EXPECT_THAT(text, HasSubstr("J per response"));
  EXPECT_THAT(text, HasSubstr("0.04 ±0.0008"));
}

TEST(Text, WhatIsLessSureIsMarked) {
  JournalView journal = served_journal(40);
  journal.steps.back()["statistics"][1]["marks"] = {"short window"};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json report, summarize(journal));
  const std::string text = render_text(report, 200);
  EXPECT_THAT(text, HasSubstr("0.04 ±0.0008*"));
  EXPECT_THAT(text, HasSubstr("* less sure; the page says why\n"));
}

}  // namespace
}  // namespace frugal::report
