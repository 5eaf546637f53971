#include "pass/document.h"

#include <gtest/gtest.h>

#include "support/shared_data.h"

namespace frugal::pass {
namespace {

Node plain(const char* text) { return scalar_node(text, {}, false); }

TEST(Document, NumbersAreDecimalOnly) {
  EXPECT_EQ(as_integer(plain("42")), 42);
  EXPECT_EQ(as_integer(plain("-7")), -7);
  EXPECT_EQ(as_integer(plain("9007199254740993")), 9007199254740993);  // above 2^53, exact
  for (const char* text :
       {"010", "0x1F", "1_000", "4.5", "", "1e400", ".inf", "five", "99999999999999999999"}) {
    EXPECT_EQ(as_integer(plain(text)), std::nullopt) << text;
  }
  EXPECT_EQ(as_number(plain("0.25")), 0.25);
  EXPECT_EQ(as_number(plain("1e-3")), 1e-3);
  for (const char* text : {"010", ".5", "5.", "nan", ".nan", "1e400"}) {
    EXPECT_EQ(as_number(plain(text)), std::nullopt) << text;
  }
}

TEST(Document, UnitsAreReadWhereTheOptionHasOne) {
  EXPECT_EQ(as_integer(plain("20M"), "tokens"), 20'000'000);
  EXPECT_EQ(as_integer(plain("70GiB"), "bytes"), int64_t{70} << 30);
  EXPECT_EQ(as_number(plain("2h"), "seconds"), 7200);
  EXPECT_EQ(as_integer(plain("20M")), std::nullopt);
  EXPECT_EQ(as_integer(plain("1.0000001k"), "tokens"), std::nullopt);  // not whole
  EXPECT_EQ(as_integer(plain("2h"), "tokens"), std::nullopt);
}

TEST(Document, QuotesMakeText) {
  Node quoted = plain("5");
  quoted.quoted = true;
  EXPECT_EQ(as_integer(quoted), std::nullopt);
  EXPECT_EQ(as_text(quoted), "5");
  EXPECT_EQ(as_text(plain("5")), std::nullopt);
  EXPECT_EQ(as_text(plain("true")), std::nullopt);
  EXPECT_EQ(as_text(plain("yes")), "yes");  // YAML 1.2: no boolean
  EXPECT_EQ(as_bool(plain("yes")), std::nullopt);
  EXPECT_EQ(as_text(scalar_node("5", {}, true)), "5");  // of a command line
}

TEST(Document, ProblemsComeInTheOrderOfTheText) {
  Problems problems("x.yaml");
  problems.add({7, 3, ""}, "second");
  problems.add({2, 9, ""}, "first");
  problems.add({0, 0, "--set a"}, "before all");
  EXPECT_EQ(problems.text(), "x.yaml: --set a: before all\nx.yaml:2:9: first\nx.yaml:7:3: second");
  EXPECT_EQ(problems.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Problems("y").status().ok());
}

TEST(Document, JsonGoesThroughTheTreeUnchanged) {
  const base::Json value =
      base::Json::parse(R"({"a": [1, 2.5, "3", true, null], "b": {"c": "x"}})");
  EXPECT_EQ(json_of(node_of(value, {})), value);
}

}  // namespace
}  // namespace frugal::pass
