#include "pass/substitute.h"

#include <gtest/gtest.h>

#include "pass/yaml.h"
#include "support/shared_data.h"

namespace frugal::pass {
namespace {

struct Outcome {
  base::Json value;
  std::string problems;
};

Outcome substituted(const std::string& text,
                    const std::vector<std::pair<std::string, std::string>>& settings) {
  Problems problems("f");
  Node root = parse_yaml(text, problems);
  const auto values = variable_values(root.find("vars"), settings, problems);
  for (Member& member : root.members) {
    if (member.key != "vars") substitute(member.value, values, problems);
  }
  base::Json value = json_of(root);
  value.erase("vars");
  return {value, problems.text()};
}

TEST(Substitute, TakesDefaultsAndSettings) {
  const std::string text =
      "vars: {dir: data, n: 5, grids: [q4_k, q8_0]}\na: ${dir}/x-${n}.txt\nb: ${n}\nc: "
      "${grids}\nd: $${n}\n";
  EXPECT_EQ(
      substituted(text, {}).value,
      base::Json::parse(R"({"a": "data/x-5.txt", "b": 5, "c": ["q4_k", "q8_0"], "d": "${n}"})"));
  EXPECT_EQ(substituted(text, {{"n", "7"}, {"grids", "[int4]"}}).value,
            base::Json::parse(R"({"a": "data/x-7.txt", "b": 7, "c": ["int4"], "d": "${n}"})"));
}

TEST(Substitute, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(substituted("vars:\n  teacher:\na: ${teacher}\n", {}).problems,
            "f:2:3: the variable 'teacher' has no value: add --set teacher=VALUE");
  EXPECT_EQ(substituted("vars: {teacher: x}\na: ${techer}\n", {}).problems,
            "f:2:4: the variable 'techer' is not in vars:; did you mean 'teacher'?");
  EXPECT_EQ(substituted("vars: {teacher: x}\n", {{"tacher", "y"}}).problems,
            "f: --set tacher: there is no variable 'tacher'; did you mean 'teacher'?");
  EXPECT_THAT(substituted("vars: {l: [a]}\na: x${l}\n", {}).problems,
              testing::HasSubstr("f:2:4: a list cannot"));
  EXPECT_THAT(substituted("vars: {l: a}\na: x${l\n", {}).problems,
              testing::HasSubstr("without '}'"));
  EXPECT_THAT(substituted("vars: {l: {a: 1}}\n", {}).problems,
              testing::HasSubstr("expected one value or a list"));
}

}  // namespace
}  // namespace frugal::pass
