#include "pass/value_reader.h"

#include <gtest/gtest.h>

#include "pass/yaml.h"

namespace frugal::pass {
namespace {

// What is wrong with the value that `yaml` gives an option; "" where it was read into `value`.
template <typename T>
std::string read(const OptionInfo& info, const std::string& yaml, T& value) {
  Problems problems("");
  const Node map = parse_yaml("v: " + yaml + "\n", problems);
  Node node = *map.find("v");
  node.position = {};
  for (Node& item : node.items) item.position = {};
  for (Member& member : node.members) member.value.position = {};
  ValueReader(info, problems).read(node, value);
  return problems.text();
}

// The same of a command line.
template <typename T>
std::string read_loose(const OptionInfo& info, const std::string& text, T& value) {
  Problems problems("");
  ValueReader(info, problems).read(scalar_node(text, {0, 0, "--v"}, true), value);
  return problems.text();
}

TEST(ValueReader, ReadsWhatIsWritten) {
  bool flag = false;
  EXPECT_EQ(read({.name = "v"}, "true", flag), "");
  EXPECT_TRUE(flag);
  int64_t count = 0;
  EXPECT_EQ(read({.name = "v", .unit = "tokens"}, "20M", count), "");
  EXPECT_EQ(count, 20000000);
  double share = 0;
  EXPECT_EQ(read({.name = "v"}, "1e-3", share), "");
  EXPECT_EQ(share, 1e-3);
  std::string text;
  EXPECT_EQ(read({.name = "v"}, "'7'", text), "");
  EXPECT_EQ(text, "7");
  ModelReference model;
  EXPECT_EQ(read({.name = "v"}, "small/q4_k", model), "");
  EXPECT_EQ(model.name, "small/q4_k");
  std::optional<double> open;
  EXPECT_EQ(read({.name = "v"}, "0.5", open), "");
  EXPECT_EQ(open, 0.5);
}

TEST(ValueReader, WrongTypesSayWhatWasExpectedAndLeaveTheValue) {
  bool flag = true;
  EXPECT_EQ(read({.name = "v"}, "1", flag), "option 'v' is the number 1, expected true or false");
  EXPECT_TRUE(flag);
  int64_t count = 3;
  EXPECT_EQ(read({.name = "v"}, "1.5", count),
            "option 'v' is the number 1.5, expected a whole number");
  EXPECT_EQ(count, 3);
  double share = 2;
  EXPECT_EQ(read({.name = "v", .unit = "seconds"}, "fast", share),
            "option 'v' is 'fast', expected a number of seconds, such as 90 or 2h");
  EXPECT_EQ(share, 2);
  std::string text = "a";
  EXPECT_EQ(read({.name = "v", .choices = {"a", "b"}}, "[a]", text),
            "option 'v' is a list of 1 value, expected one of a, b");
  DataReference data{"kept"};
  EXPECT_EQ(read({.name = "v"}, "7", data),
            "option 'v' is the number 7, expected the name of data");
  ModelReference model;
  EXPECT_EQ(read({.name = "v"}, "{a: 1}", model),
            "option 'v' is a group of 1 key, expected the name of a model");
  EXPECT_EQ(data.name, "kept");
  std::optional<int64_t> open;
  EXPECT_EQ(read({.name = "v"}, "x", open), "option 'v' is 'x', expected a whole number");
  EXPECT_FALSE(open.has_value());
}

TEST(ValueReader, NumbersStayInTheirRange) {
  double share = 0.5;
  const OptionInfo info{.name = "v", .minimum = 0, .maximum = 1, .minimum_exclusive = true};
  EXPECT_EQ(read(info, "1", share), "");
  EXPECT_EQ(read(info, "0", share), "option 'v' is 0, allowed is above 0, at most 1");
  EXPECT_EQ(read(info, "30", share),
            "option 'v' is 30, allowed is above 0, at most 1; it is a share: 30% is 0.3");
  EXPECT_EQ(read(info, "130", share), "option 'v' is 130, allowed is above 0, at most 1");
  EXPECT_EQ(share, 1);
  int64_t bytes = 0;
  EXPECT_EQ(read({.name = "v", .unit = "bytes", .minimum = 1 << 20}, "8", bytes),
            "option 'v' is 8, allowed is at least 1048576; it is in bytes: 8 GiB is written 8GiB");
  double seconds = 0;
  EXPECT_EQ(read({.name = "v", .unit = "seconds", .maximum = 60}, "500", seconds),
            "option 'v' is 500, allowed is at most 60; it is in seconds: 500 ms are 0.5");
}

// Writing out a default changes nothing, wherever it lies; in a list there is none.
TEST(ValueReader, ADefaultMayLieOutsideOfTheRange) {
  const OptionInfo info{.name = "v", .minimum = 10};
  int64_t count = 0;
  EXPECT_EQ(read(info, "0", count), "");
  EXPECT_EQ(read(info, "5", count), "option 'v' is 5, allowed is at least 10");
  EXPECT_EQ(count, 0);
  std::vector<int64_t> counts;
  EXPECT_EQ(read(info, "[0]", counts), "option 'v' is 0, allowed is at least 10");
  std::optional<int64_t> open;
  EXPECT_EQ(read(info, "0", open), "option 'v' is 0, allowed is at least 10");
  EXPECT_FALSE(open.has_value());
  std::string text;
  EXPECT_EQ(read({.name = "v", .choices = {"a"}}, "''", text), "");
}

TEST(ValueReader, ChoicesAreNamedWithTheNearest) {
  const OptionInfo info{.name = "v",
                        .choices = {"nearest", "down"},
                        .former_choices = {{.former = "floor", .now = "down"}}};
  std::string text = "down";
  EXPECT_EQ(read(info, "nearst", text),
            "option 'v' is 'nearst'; allowed: nearest, down; did you mean 'nearest'?");
  EXPECT_EQ(read(info, "sideways", text), "option 'v' is 'sideways'; allowed: nearest, down");
  EXPECT_EQ(read(info, "floor", text), "option 'v' is 'floor', which is now called 'down'");
  EXPECT_EQ(text, "down");
  EXPECT_EQ(read(info, "nearest", text), "");
  EXPECT_EQ(text, "nearest");
}

TEST(ValueReader, ListsTakeOneValueToo) {
  std::vector<std::string> texts = {"old"};
  EXPECT_EQ(read({.name = "v"}, "[a, b]", texts), "");
  EXPECT_EQ(texts, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(read({.name = "v"}, "a,b", texts), "");  // one text, in a file
  EXPECT_EQ(texts, std::vector<std::string>{"a,b"});
  EXPECT_EQ(read({.name = "v"}, "[]", texts), "");
  EXPECT_TRUE(texts.empty());
  std::vector<int64_t> counts = {4};
  EXPECT_EQ(read({.name = "v"}, "{a: 1}", counts),
            "option 'v' is a group of 1 key, expected a list of integer");
  EXPECT_EQ(counts, std::vector<int64_t>{4});
}

TEST(ValueReader, PatternsAreAGroupOrTexts) {
  using Entries = std::vector<std::pair<std::string, std::string>>;
  Assignments patterns;
  EXPECT_EQ(read({.name = "v"}, "{'*down*': q4_0, 'a=b': '2'}", patterns), "");
  EXPECT_EQ(patterns.entries, (Entries{{"*down*", "q4_0"}, {"a=b", "2"}}));
  EXPECT_EQ(read({.name = "v"}, "['a=b=2', 'c=']", patterns), "");  // the last '=' parts them
  EXPECT_EQ(patterns.entries, (Entries{{"a=b", "2"}, {"c", ""}}));
  for (const char* bad : {"plain", "'=2'"}) {
    EXPECT_EQ(read({.name = "v"}, bad, patterns).find("option 'v' is '"), 0u) << bad;
    EXPECT_NE(read({.name = "v"}, bad, patterns).find("expected pattern=value"), std::string::npos);
  }
  EXPECT_EQ(read({.name = "v"}, "{a: 1}", patterns),
            "option 'v' is the number 1, expected a text for 'a'");
  EXPECT_EQ(patterns.entries.size(), 2u);  // what was wrong changed nothing
}

TEST(ValueReader, CommandLinesHaveFlagsAndCommas) {
  bool flag = false;
  EXPECT_EQ(read_loose({.name = "v"}, "", flag), "");
  EXPECT_TRUE(flag);
  EXPECT_EQ(read_loose({.name = "v"}, "no", flag),
            "--v: option 'v' is 'no', expected true or false");
  std::vector<int64_t> counts;
  EXPECT_EQ(read_loose({.name = "v"}, "1,2", counts), "");
  EXPECT_EQ(counts, (std::vector<int64_t>{1, 2}));
  std::string text;
  EXPECT_EQ(read_loose({.name = "v"}, "7", text), "");
  EXPECT_EQ(text, "7");
  Assignments patterns;
  EXPECT_EQ(read_loose({.name = "v"}, "a=1,b=2", patterns), "");
  EXPECT_EQ(patterns.entries.size(), 2u);
}

}  // namespace
}  // namespace frugal::pass
