// The very texts of lm-evaluation-harness are in tests/golden/tasks (questions_test.cpp); here is
// what each rule does.
#include "tasks/wikitext.h"

#include <gtest/gtest.h>

namespace frugal::tasks {
namespace {

TEST(WikitextText, TakesTheMarksOfTokenizationAway) {
  EXPECT_EQ(wikitext_text("a 1 @,@ 000 @-@ fold 2 @.@ 5 , b . c"), "a 1,000-fold 2.5, b. c");
  EXPECT_EQ(wikitext_text("x ( a b ) [ c ] { d } \" e \" y"), "x (a b) [c] {d} \"e\" y");
  EXPECT_EQ(wikitext_text(" = = A = = \n \n It 's N \n"), " == A ==\n\nIt's N\n");
  EXPECT_EQ(wikitext_text("the players ' , 20 \xC2\xB0 C"),
            "the players', 20\xC2\xB0"
            "C");
}

TEST(WikitextText, LeavesWhatIsNotClosed) {
  EXPECT_EQ(wikitext_text("( a [ b"), "( a [ b");
  EXPECT_EQ(wikitext_text(""), "");
  EXPECT_EQ(wikitext_text("( a ( b ) c )"), "(a ( b) c )");
}

}  // namespace
}  // namespace frugal::tasks
