#include "report/access.h"

#include <gtest/gtest.h>

namespace frugal::report {
namespace {

TEST(Access, IllTypedMembersAreTheFallback) {
  const base::Json object = {{"null", nullptr}, {"text", "a"},  {"number", 1.5},
                             {"whole", 3},      {"flag", true}, {"list", {1}}};
  EXPECT_EQ(text_at(object, "null", "x"), "x");
  EXPECT_EQ(text_at(object, "number"), "");
  EXPECT_EQ(text_at(object, "text"), "a");
  EXPECT_EQ(number_at(object, "text", 7), 7);
  EXPECT_EQ(number_at(object, "number"), 1.5);
  EXPECT_EQ(integer_at(object, "number"), 0);
  EXPECT_EQ(integer_at(object, "whole"), 3);
  EXPECT_TRUE(flag_at(object, "flag", false));
  EXPECT_TRUE(list_at(object, "text").empty());
  EXPECT_EQ(list_at(object, "list").size(), 1u);
  EXPECT_TRUE(object_at(object, "list").empty());
  EXPECT_TRUE(any_at(base::Json::array(), "x").is_null());
}

}  // namespace
}  // namespace frugal::report
