#include "passes/common/zeros.h"

#include <gmock/gmock.h>

#include "passes/fake_context.h"

namespace frugal::passes {
namespace {

pass::ModelInfo pruned() {
  pass::ModelInfo model;
  model.name = "small";
  model.zeros = {{"a.weight", "2:4"}, {"b.weight", "50%"}, {"c.weight", "about 30%"}};
  return model;
}

TEST(Zeros, ThoseThatAreFilledAreForgottenWithOneWarning) {
  FakeCheckContext context;
  pass::ModelInfo model = pruned();
  lose_zeros(
      context, "rotate", model, [](const std::string& weight) { return weight != "a.weight"; },
      "rotate first");
  EXPECT_THAT(model.zeros, testing::ElementsAre(testing::Pair("a.weight", "2:4")));
  EXPECT_THAT(context.warnings,
              testing::ElementsAre("rotate: 'small' has zeros (b.weight: 50%, ...); rotate first"));
}

TEST(Zeros, WhereNoneAreFilledNothingIsSaid) {
  FakeCheckContext context;
  pass::ModelInfo model = pruned();
  lose_zeros(context, "rotate", model, [](const std::string&) { return false; }, "why");
  EXPECT_EQ(model.zeros, pruned().zeros);
  model.zeros.clear();
  lose_zeros(context, "rotate", model, [](const std::string&) { return true; }, "why");
  EXPECT_TRUE(context.warnings.empty());
}

}  // namespace
}  // namespace frugal::passes
