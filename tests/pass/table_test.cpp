#include "pass/table.h"

#include <gtest/gtest.h>

namespace frugal::pass {
namespace {

TEST(Table, ColumnsAreAsWideAsTheirWidestCell) {
  Table table({"step", "bytes", "note"});
  table.align_right({1});
  table.row({"a", "1024", "größer"});
  table.row({"longer", "7", ""});
  EXPECT_EQ(table.text(),
            "step    bytes  note\n"
            "a        1024  größer\n"
            "longer      7\n");
}

TEST(Table, AHeaderAloneIsATable) { EXPECT_EQ(Table({"a", "b"}).text(), "a  b\n"); }

TEST(Table, WidthCountsCharactersNotBytes) {
  EXPECT_EQ(text_width(""), 0u);
  EXPECT_EQ(text_width("größer"), 6u);
  EXPECT_EQ(text_width("→ €"), 3u);
}

}  // namespace
}  // namespace frugal::pass
