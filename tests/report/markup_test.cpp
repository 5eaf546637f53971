#include "report/markup.h"

#include <gtest/gtest.h>

namespace frugal::report {
namespace {

TEST(Markup, YamlScalarsAreThatTextAndNothingElse) {
  EXPECT_EQ(yaml_scalar("apache-2.0"), "apache-2.0");
  EXPECT_EQ(yaml_scalar("org/name_1.5"), "org/name_1.5");
  EXPECT_EQ(yaml_scalar("no"), "\"no\"");  // Norwegian, not false
  EXPECT_EQ(yaml_scalar("Null"), "\"Null\"");
  EXPECT_EQ(yaml_scalar("1.5"), "\"1.5\"");
  EXPECT_EQ(yaml_scalar(""), "\"\"");
  EXPECT_EQ(yaml_scalar("- a"), "\"- a\"");
  EXPECT_EQ(yaml_scalar("a: b # c"), "\"a: b # c\"");
  EXPECT_EQ(yaml_scalar("a\n---\nb\"\\"), "\"a\\n---\\nb\\\"\\\\\"");
  EXPECT_EQ(yaml_scalar("\xff"), "\"\\ufffd\"");
}

TEST(Markup, TextStaysText) {
  EXPECT_EQ(markdown_text("small q4.0 (best)"), "small q4.0 (best)");
  EXPECT_EQ(markdown_text("a|b\n# <b>*c*_d_[e](f)`g`"),
            "a\\|b \\# \\<b\\>\\*c\\*\\_d\\_\\[e\\](f)\\`g\\`");
  EXPECT_EQ(markdown_code("a_b"), "`a_b`");
  EXPECT_EQ(markdown_code("a`b|c\n"), "`` a`b/c  ``");
}

TEST(Markup, WordsOfAShellStayWords) {
  EXPECT_EQ(shell_word("./small-q4_0.gguf"), "./small-q4_0.gguf");
  EXPECT_EQ(shell_word("a b"), "'a b'");
  EXPECT_EQ(shell_word("$(rm -rf ~)'; x"), "'$(rm -rf ~)'\\''; x'");
  EXPECT_EQ(shell_word("-x"), "'-x'");
  EXPECT_EQ(shell_word(""), "''");
}

TEST(Markup, NothingInsideEndsABlock) {
  EXPECT_EQ(markdown_block("sh", "ls\n"), "```sh\nls\n```\n");
  EXPECT_EQ(markdown_block("", "```\n"), "````\n```\n````\n");
}

}  // namespace
}  // namespace frugal::report
