#include "pass/map_reader.h"

#include <gtest/gtest.h>

#include "pass/yaml.h"

namespace frugal::pass {
namespace {

// Of {a: text, n: 3, c: red}, after `read` has read a map that stands for "a step".
template <typename Read>
std::string problems_of(const std::string& yaml, const Read& read) {
  Problems problems("f");
  const Node root = parse_yaml(yaml, problems);
  const MapReader reader(root, "a step", {"a", "n", "c"}, problems);
  read(reader);
  return problems.text();
}

struct Values {
  std::string a = "before", c = "before";
  int64_t n = -1;
};
Values read_all(const std::string& yaml, std::string& problems) {
  Values values;
  problems = problems_of(yaml, [&](const MapReader& reader) {
    reader.text("a", values.a);
    reader.integer("n", 2, "", values.n);
    reader.choice("c", {"red", "blue"}, values.c);
  });
  return values;
}

TEST(MapReader, ReadsWhatIsThereAndLeavesTheRest) {
  std::string problems;
  Values values = read_all("a: some text\nn: 3\nc: blue\n", problems);
  EXPECT_EQ(problems, "");
  EXPECT_EQ(values.a, "some text");
  EXPECT_EQ(values.n, 3);
  EXPECT_EQ(values.c, "blue");
  values = read_all("n: 2\n", problems);
  EXPECT_EQ(problems, "");
  EXPECT_EQ(values.a, "before");
  EXPECT_EQ(values.c, "before");
}

TEST(MapReader, WhatIsWrongIsSaidWithItsPlaceAndLeavesTheValue) {
  std::string problems;
  const Values values = read_all("a: [1]\nn: 1\nc: green\nd: 1\n", problems);
  EXPECT_EQ(values.a, "before");
  EXPECT_EQ(values.n, -1);
  EXPECT_EQ(values.c, "before");
  EXPECT_NE(problems.find("f:4:1: a step has no key 'd'; expected one of a, n, c"),
            std::string::npos)
      << problems;
  EXPECT_NE(problems.find("f:1:4: 'a' of a step is a list of 1 value"), std::string::npos)
      << problems;
  EXPECT_NE(problems.find("expected a whole number of at least 2"), std::string::npos) << problems;
  EXPECT_NE(problems.find("expected one of red, blue"), std::string::npos) << problems;
}

TEST(MapReader, RequiredKeysAndEmptyValues) {
  const auto require = [](const MapReader& reader) {
    EXPECT_EQ(reader.require("a", "what to do"), nullptr);
  };
  EXPECT_NE(problems_of("n: 3\n", require).find("a step needs the key 'a': what to do"),
            std::string::npos);
  const std::string empty = problems_of("a:\n", require);
  EXPECT_NE(empty.find("'a' has no value"), std::string::npos) << empty;
  EXPECT_EQ(empty.find("needs the key"), std::string::npos) << empty;  // said once
  EXPECT_NE(problems_of("[1, 2]\n", [](const MapReader&) {}).find("expected a group of keys"),
            std::string::npos);
}

TEST(MapReader, PositionsAreOfTheValueOrOfTheMap) {
  problems_of("n: 3\nc: red\n", [](const MapReader& reader) {
    EXPECT_EQ(reader.position_of("c").line, 2);
    EXPECT_EQ(reader.position_of("c").column, 4);
    EXPECT_EQ(reader.position_of("a").line, 1);
  });
}

}  // namespace
}  // namespace frugal::pass
