#include "report/claim.h"

#include <gtest/gtest.h>

namespace frugal::report {
namespace {

TEST(Claim, IsWhatThePipelineDeclares) {
  JournalView journal;
  EXPECT_EQ(claim_of(journal), nullptr);
  EXPECT_EQ(baseline_of(journal), "");
  journal.run_start = {{"report", {{"baseline", "teacher"}}}};
  EXPECT_EQ(claim_of(journal), nullptr);
  EXPECT_EQ(baseline_of(journal), "teacher");
  journal.run_start["report"]["claim"] = {{"metric", "perplexity"}, {"margin", 0.5}};
  ASSERT_NE(claim_of(journal), nullptr);
  EXPECT_EQ((*claim_of(journal))["metric"], "perplexity");
  for (const base::Json& damaged : {base::Json("text"), base::Json(nullptr), base::Json(7)}) {
    journal.run_start["report"] = {{"claim", damaged}};
    EXPECT_EQ(claim_of(journal), nullptr);
    journal.run_start["report"] = damaged;
    EXPECT_EQ(claim_of(journal), nullptr);
  }
}

TEST(IsShare, SharesAreOfItems) {
  for (const char* metric : {"sentiment/accuracy", "x/coverage", "x/macro_f1", "kld/same_top"})
    EXPECT_TRUE(is_share(metric)) << metric;
  for (const char* metric : {"perplexity", "kld/mean", "accuracy_of_none", ""})
    EXPECT_FALSE(is_share(metric)) << metric;
}

}  // namespace
}  // namespace frugal::report
