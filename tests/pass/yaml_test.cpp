#include "pass/yaml.h"

#include <gtest/gtest.h>

#include "support/shared_data.h"

namespace frugal::pass {
namespace {

std::string problems_of(const std::string& text) {
  Problems problems("f");
  parse_yaml(text, problems);
  return problems.text();
}

TEST(Yaml, KnowsWhereEverythingStands) {
  Problems problems("f");
  const Node root = parse_yaml("a: 1\nb:\n  - x\n  - {c: \"2\"}\n", problems);
  ASSERT_TRUE(problems.empty()) << problems.text();
  const Node& list = *root.find("b");
  EXPECT_EQ(list.items[0].position.line, 3);
  EXPECT_EQ(list.items[0].position.column, 5);
  const Node& quoted = *list.items[1].find("c");
  EXPECT_EQ(quoted.position.line, 4);
  EXPECT_EQ(quoted.position.column, 9);
  EXPECT_TRUE(quoted.quoted);
  EXPECT_FALSE(root.find("a")->quoted);
}

TEST(Yaml, RefusesWhatHidesMistakes) {
  EXPECT_EQ(problems_of("a: 1\na: 2\n"), "f:2:1: the key 'a' stands twice; first in line 1");
  EXPECT_THAT(problems_of("a: &x 1\nb: *x\n"),
              testing::AllOf(testing::HasSubstr("f:1:4: an anchor"),
                             testing::HasSubstr("f:2:4: an alias")));
  EXPECT_THAT(problems_of("<<: {a: 1}\n"), testing::HasSubstr("f:1:1: merge keys"));
  EXPECT_THAT(problems_of("a: !!int 3\n"), testing::HasSubstr("the tag"));
  EXPECT_THAT(problems_of("a: 1\n---\nb: 2\n"), testing::HasSubstr("more than one YAML document"));
  EXPECT_THAT(problems_of("[a]: 1\n"), testing::HasSubstr("a key must be text"));
  EXPECT_THAT(problems_of("a: [1, 2\nb: 3\n"), testing::HasSubstr("not YAML"));
  EXPECT_THAT(problems_of("a: \"\xff\"\n"), testing::HasSubstr("UTF-8"));
  EXPECT_THAT(problems_of(std::string(100000, '[')), testing::HasSubstr("not YAML"));
}

TEST(Yaml, EmptyTextIsNothing) {
  Problems problems("f");
  EXPECT_EQ(parse_yaml("", problems).kind, Node::Kind::kNull);
  EXPECT_TRUE(problems.empty());
}

TEST(Yaml, WhatIsPrintedReadsBackTheSame) {
  const base::Json value = base::Json::parse(R"({
    "plain": "q4_k", "number": 1, "double": 0.1, "whole": 2.0, "small": 1e-07, "text": "5", "bool": "true", "yes": "no",
    "null": null, "nulltext": "null", "empty": "", "list": ["a b", "c,d", "[", "{x}"], "emptylist": [], "emptymap": {},
    "special": "a: b # c", "multi": "line\nline\ttab \\ \"q\" ü", "path": "/a/b*.txt", "dash": "-x", "sci": "1e3",
    "nested": {"deep": [{"id": "one", "with": {"k": [1, 2]}}, {"id": "two"}], "0": "negative"}})");
  const std::string text = print_yaml(value);
  Problems problems("f");
  const Node root = parse_yaml(text, problems);
  ASSERT_TRUE(problems.empty()) << problems.text() << "\n" << text;
  EXPECT_EQ(json_of(root), value) << text;
  EXPECT_EQ(print_yaml(json_of(root)), text);
}

// A forgotten quote makes a key of half a file.
TEST(Yaml, LongKeysComeBack) {
  const std::string key(3000, 'k'), text = std::string(3000, 'a') + " \"b\": c";
  const base::Json value = {{"steps", {{{key, "first"}, {text, {{"inner", "x"}}}}}}};
  Problems problems("copy.yaml");
  const Node copy = parse_yaml(print_yaml(value), problems);
  FRUGAL_EXPECT_OK(problems.status());
  EXPECT_EQ(json_of(copy), value);
}

}  // namespace
}  // namespace frugal::pass
