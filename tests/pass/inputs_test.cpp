#include "pass/inputs.h"

#include <gmock/gmock.h>

#include "pass/matrix.h"
#include "toy.h"

namespace frugal::pass {
namespace {

using test::toy_registry;

// A plan of some steps, the first of them planned: each has a unit for each of its `variants`.
class Inputs : public testing::Test {
 protected:
  void plan(const std::string& models, const std::string& steps) {
    Problems parsing("f");
    plan_ = {};
    plan_.pipeline = parse_pipeline("frugal: 1\nname: toy\n" + models + "steps:\n" + steps,
                                    "/nowhere", {}, parsing);
    EXPECT_EQ(parsing.text(), "");
    for (const ModelEntry& model : plan_.pipeline.models) plan_.models[model.name] = {};
    broken_.clear();
  }
  void add(size_t step, const std::string& variant = "") {
    const StepEntry& entry = plan_.pipeline.steps.at(step);
    Unit unit;
    unit.step = step;
    unit.id = entry.id;
    unit.variant = variant;
    unit.pass = find_pass(toy_registry(), entry.pass);
    plan_.units.push_back(std::move(unit));
  }
  // "name (label)" of the inputs of a step, or its problems after a '!'.
  std::string inputs(size_t step) {
    Problems problems("f");
    InputResolver resolver(plan_, toy_registry(), broken_, problems);
    const std::unique_ptr<Pass> pass =
        find_pass(toy_registry(), plan_.pipeline.steps.at(step).pass);
    const auto found = resolver.inputs_of(step, pass->info());
    if (!found) return "!" + problems.text();
    EXPECT_EQ(problems.text(), "");
    std::vector<std::string> out;
    for (const InputChoice& choice : *found)
      out.push_back(base::str_cat(choice.name, " (", choice.label, ")"));
    return base::join(out, ", ");
  }
  Plan plan_;
  Broken broken_;
};

constexpr const char* kTeacher = "models: {teacher: teacher}\n";

TEST_F(Inputs, APassWithoutInputHasOneEmptyChoice) {
  plan(kTeacher, "  - {id: a, pass: make}\n  - {id: b, pass: make, from: teacher}\n");
  EXPECT_EQ(inputs(0), " ()");
  EXPECT_EQ(inputs(1), "!f:6:31: pass 'make' takes no checkpoint; remove from:");
}

TEST_F(Inputs, TheDefaultIsTheLastStepThatYieldsACheckpoint) {
  plan(kTeacher, "  - {id: a, pass: scale}\n  - {id: b, pass: judge}\n  - {id: c, pass: judge}\n");
  add(0, "2");
  add(0, "3");
  add(1, "2");
  EXPECT_EQ(inputs(2), "a/2 (2), a/3 (3)");
  EXPECT_EQ(inputs(0), "teacher ()");  // nothing before it: the one model
  broken_.insert("a");
  EXPECT_EQ(inputs(2), "!");  // said already
  broken_ = {"teacher"};
  EXPECT_EQ(inputs(0), "!");
}

TEST_F(Inputs, WithoutOneModelTheInputMustBeNamed) {
  plan("", "  - {id: a, pass: judge}\n");
  EXPECT_EQ(inputs(0),
            "!f:4:10: the step 'a' has no input: no step before it yields a checkpoint; add from:");
  plan("models: {teacher: teacher, student: student}\n", "  - {id: a, pass: judge}\n");
  EXPECT_EQ(inputs(0),
            "!f:5:10: the step 'a' has no input: no step before it yields a checkpoint and there "
            "are several models; add from:");
}

TEST_F(Inputs, AStepIsAllOfItsUnitsAndAListKeepsFullNames) {
  plan(kTeacher,
       "  - {id: a, pass: scale}\n  - {id: b, pass: judge, from: a}\n"
       "  - {id: c, pass: judge, from: a/3}\n  - {id: d, pass: judge, from: [teacher, a]}\n"
       "  - {id: e, pass: judge, from: teacher}\n");
  add(0, "2");
  add(0, "3");
  EXPECT_EQ(inputs(1), "a/2 (2), a/3 (3)");
  EXPECT_EQ(inputs(2), "a/3 (3)");
  EXPECT_EQ(inputs(3), "teacher (teacher), a/2 (a/2), a/3 (a/3)");
  EXPECT_EQ(inputs(4), "teacher ()");
}

TEST_F(Inputs, WhatIsNotThereIsNamedWithTheNearest) {
  plan(kTeacher,
       "  - {id: small, pass: scale}\n  - {id: look, pass: judge}\n"
       "  - {id: b, pass: judge, from: techer}\n  - {id: c, pass: judge, from: small/2x}\n"
       "  - {id: d, pass: judge, from: look}\n  - {id: e, pass: judge, from: [techer, small]}\n");
  add(0, "2");
  add(1, "2");
  EXPECT_EQ(inputs(2),
            "!f:7:32: there is no model or earlier step 'techer'; did you mean 'teacher'?");
  EXPECT_EQ(inputs(3),
            "!f:8:32: there is no model or earlier step 'small/2x'; did you mean 'small/2'?");
  EXPECT_EQ(inputs(4), "!f:9:32: 'look' yields no checkpoint (its pass is 'judge')");
  EXPECT_THAT(inputs(5), testing::HasSubstr("'techer'"));  // one of two is enough
  broken_.insert("small");
  EXPECT_EQ(inputs(3), "!");
}

TEST_F(Inputs, WhatComesLaterIsToldFromACycle) {
  plan(kTeacher,
       "  - {id: a, pass: scale, from: b}\n  - {id: b, pass: scale, from: teacher}\n"
       "  - {id: c, pass: scale, from: d}\n  - {id: d, pass: scale, from: c}\n"
       "  - {id: e, pass: scale, from: e}\n");
  EXPECT_EQ(inputs(0), "!f:5:32: the step 'b' comes later in the file; move it above 'a'");
  EXPECT_TRUE(broken_.empty());
  EXPECT_EQ(inputs(2), "!f:7:32: a cycle: c takes from d, which takes from c");
  EXPECT_EQ(broken_, Broken{"d"});  // not reported again
  EXPECT_EQ(inputs(4), "!f:9:32: a cycle: e takes from e");
}

}  // namespace
}  // namespace frugal::pass
