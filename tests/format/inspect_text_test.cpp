#include "format/inspect_text.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/text.h"

namespace frugal::format {
namespace {

TEST(InspectText, LongAndBrokenTextsBecomePrintable) {
  EXPECT_EQ(printable("grüße"), "grüße");
  EXPECT_EQ(printable("a\xff"
                      "b"),
            "a\\xffb");
  std::string text;
  while (text.size() < 1000) text += "ü";
  const std::string shown = printable("x" + text);
  EXPECT_LT(shown.size(), 410u);
  EXPECT_TRUE(base::is_valid_utf8(shown));
  EXPECT_TRUE(shown.ends_with("ü…"));
}

TEST(InspectText, LongListsAreCutAtEveryDepth) {
  base::Json list = base::Json::array();
  for (int i = 0; i < 20; ++i) list.push_back(i);
  const base::Json shown = shortened({{"deep", {{"list", list}}}, {"n", 1}});
  EXPECT_EQ(shown["deep"]["list"]["length"], 20);
  EXPECT_EQ(shown["deep"]["list"]["first"].size(), kShownListLength);
  EXPECT_EQ(shown["n"], 1);
  EXPECT_EQ(shortened_list(std::vector<int32_t>{1, 2}), base::Json({1, 2}));
  EXPECT_EQ(shortened_list(std::vector<float>{std::numeric_limits<float>::infinity()}),
            base::Json::array({nullptr}));
  EXPECT_EQ(shortened_list(std::vector<std::string>(9, "\xff"))["first"][0], "\\xff");
  EXPECT_EQ(shortened_list(std::vector<bool>{true, false}), base::Json({true, false}));
}

}  // namespace
}  // namespace frugal::format
