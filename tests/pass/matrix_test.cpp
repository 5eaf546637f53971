#include "pass/matrix.h"

#include <gmock/gmock.h>

#include "pass/option_reader.h"
#include "toy.h"

namespace frugal::pass {
namespace {

using test::toy_registry;

// The first step of a pipeline with `step` alone.
StepEntry step_of(const std::string& step) {
  Problems problems("f");
  const Pipeline pipeline =
      parse_pipeline("frugal: 1\nname: toy\nsteps:\n  - " + step + "\n", "/nowhere", {}, problems);
  EXPECT_EQ(problems.text(), "");
  return pipeline.steps.at(0);
}

std::vector<std::string> labels(const std::string& matrix) {
  std::vector<std::string> out;
  for (const Combination& one :
       combinations(step_of("{id: a, pass: scale, matrix: " + matrix + "}"), toy_registry()))
    out.push_back(one.label);
  return out;
}

std::string problems_of(const std::string& step) {
  Problems problems("f");
  check_options(step_of(step), toy_registry(), problems);
  return problems.text();
}

TEST(Matrix, PassesAreFoundByName) {
  EXPECT_THAT(pass_names(toy_registry()),
              testing::ElementsAre("make", "scale", "judge", "pack", "serve"));
  ASSERT_NE(find_pass(toy_registry(), "scale"), nullptr);
  EXPECT_EQ(find_pass(toy_registry(), "scale")->info().version, 3);
  EXPECT_EQ(find_pass(toy_registry(), "scal"), nullptr);
  EXPECT_EQ(find_pass({}, "scale"), nullptr);
}

TEST(Matrix, ValuesAreCalledByWhatIsStored) {
  EXPECT_THAT(labels("{factor: [0.50, 2.0, 1e1]}"), testing::ElementsAre("0.5", "2", "10"));
  EXPECT_THAT(labels("{tokens: [20M, 64]}"), testing::ElementsAre("20000000", "64"));
  EXPECT_THAT(labels("{compensate: [true, false]}"), testing::ElementsAre("true", "false"));
  EXPECT_THAT(labels("{batch: [[1, 8], 4]}"), testing::ElementsAre("1+8", "4"));
  EXPECT_THAT(labels("{skip: ['a/b c', '.hidden', '']}"),
              testing::ElementsAre("a_b_c", "_.hidden", "_"));
}

TEST(Matrix, EveryValueMeetsEveryOther) {
  const StepEntry step = step_of(
      "{id: a, pass: scale, with: {tokens: 64}, matrix: {factor: [1, 2], mode: [up, down]}}");
  const std::vector<Combination> all = combinations(step, toy_registry());
  std::vector<std::string> names;
  for (const Combination& one : all) {
    names.push_back(one.label);
    ASSERT_EQ(one.with.members.size(), 3u);
    EXPECT_EQ(json_of(*one.with.find("tokens")), 64);  // those of `with` stay
  }
  EXPECT_THAT(names, testing::ElementsAre("1-up", "1-down", "2-up", "2-down"));
  EXPECT_EQ(json_of(*all[1].with.find("factor")), 1);
  EXPECT_EQ(json_of(*all[1].with.find("mode")), "down");
}

TEST(Matrix, WithoutOneThereIsOneCombination) {
  const std::vector<Combination> all =
      combinations(step_of("{id: a, pass: judge}"), toy_registry());
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].label, "");
  EXPECT_TRUE(all[0].with.is_map());
}

TEST(Matrix, MistakesAreReportedOnceAndNotForEachVariant) {
  EXPECT_EQ(problems_of("{id: a, pass: scale, matrix: {factor: [1, 2], mode: [up, down]}}"), "");
  EXPECT_EQ(problems_of("{id: a, pass: scale, with: {tokens: 5}, "
                        "matrix: {factor: [1, 11], mode: [up, dwn]}}"),
            "f:4:41: option 'tokens' is 5, allowed is at least 10\n"
            "f:4:66: option 'factor' is 11, allowed is above 0, at most 10\n"
            "f:4:82: option 'mode' is 'dwn'; allowed: nearest, down, up; did you mean 'down'?");
  // An unknown key once, whatever the number of values; a required option may stand in either.
  EXPECT_EQ(problems_of("{id: a, pass: scale, with: {factor: 1}, matrix: {mde: [up, down]}}"),
            "f:4:54: pass 'scale' has no option 'mde'; did you mean 'mode'?");
  EXPECT_THAT(problems_of("{id: a, pass: scale, matrix: {mode: [up, down]}}"),
              testing::HasSubstr("needs the option 'factor'"));
}

}  // namespace
}  // namespace frugal::pass
