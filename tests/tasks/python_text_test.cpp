#include "tasks/python_text.h"

#include <gtest/gtest.h>

namespace frugal::tasks {
namespace {

// As Python's interpreter says.
TEST(PythonText, ReplacesFromLeftToRightWithoutLookingBack) {
  EXPECT_EQ(replace_all("aaa", "aa", "b"), "ba");
  EXPECT_EQ(replace_all("<skip<skipped>ped>", "<skipped>", ""), "<skipped>");
  EXPECT_EQ(replace_all("= = = =", "= =", "=="), "== ==");
  EXPECT_EQ(replace_all("abc", "x", "y"), "abc");
  EXPECT_EQ(replace_all("", "x", "y"), "");
}

}  // namespace
}  // namespace frugal::tasks
