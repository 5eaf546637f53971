#include "pass/unit_key.h"

#include <gtest/gtest.h>

#include <set>

#include "pass/matrix.h"
#include "toy.h"

namespace frugal::pass {
namespace {

using test::toy_registry;

// A step of pass `name` on the model "teacher" of a plan.
class UnitKey : public testing::Test {
 protected:
  UnitKey() {
    plan_.models["teacher"].hash = "h1";
    plan_.data["text"].key = "d1";
    unit_ = make("scale");
  }
  static Unit make(const char* name) {
    Unit unit;
    unit.id = "a";
    unit.pass = find_pass(toy_registry(), name);
    unit.options = options_json(*unit.pass);
    unit.from = "teacher";
    return unit;
  }
  std::string key() const { return key_of(unit_, plan_); }

  Plan plan_;
  Unit unit_;
};

TEST_F(UnitKey, FollowsEverythingThatTheResultDependsOn) {
  std::set<std::string> keys = {key()};
  EXPECT_EQ(key().size(), 32u);
  const auto expect_new = [&](const char* what) { EXPECT_TRUE(keys.insert(key()).second) << what; };
  unit_.options["factor"] = 2.0;
  expect_new("options");
  plan_.pipeline.seed = 2;
  expect_new("seed");
  unit_.arithmetic = "cpu, bf16";
  expect_new("arithmetic");
  plan_.models["teacher"].hash = "h2";
  expect_new("input");
  unit_.references.push_back({"calibration", "text", Reference::Kind::kData});
  expect_new("data");
  plan_.data["text"].key = "d2";
  expect_new("what the data hold");
  unit_.references.push_back({"teacher", "teacher", Reference::Kind::kModel});
  expect_new("model");
  unit_.claim = Claim{.metric = "toy/size", .margin = 0.02};
  expect_new("claim");
  unit_.claim->margin = 0.01;
  expect_new("margin");
  unit_.pass = find_pass(toy_registry(), "judge");
  expect_new("pass");
}

TEST_F(UnitKey, DoesNotDependOnNames) {
  const std::string before = key();
  unit_.id = "b";
  unit_.variant = "2";
  unit_.warnings.push_back("bold");
  EXPECT_EQ(key(), before);
  plan_.models["student"].hash = "h1";  // the same content under another name
  unit_.from = "student";
  EXPECT_EQ(key(), before);
}

TEST_F(UnitKey, AnArtifactMayCarryTheNameOfItsInput) {
  unit_ = make("pack");
  const std::string before = key();
  plan_.models["student"].hash = "h1";
  unit_.from = "student";
  EXPECT_NE(key(), before);
}

TEST_F(UnitKey, AStepIsItsOwnKeyAndNoModelsHash) {
  plan_.models["student"].hash = "k";
  Unit made = make("scale");
  made.id = "before";
  made.key = "k";
  plan_.units.push_back(std::move(made));
  unit_.from = "before";
  const std::string of_step = key();
  EXPECT_NE(of_step, "");
  unit_.from = "student";
  EXPECT_NE(key(), of_step);
}

TEST_F(UnitKey, IsUnknownWhileAnInputIs) {
  plan_.models["large"].hash = "";
  plan_.data["large"].key = "";
  unit_.from = "large";
  EXPECT_EQ(key(), "");
  unit_.from = "absent";
  EXPECT_EQ(key(), "");
  unit_.from = "teacher";
  for (const char* name : {"large", "absent"}) {
    for (const auto kind : {Reference::Kind::kModel, Reference::Kind::kData}) {
      unit_.references = {{"option", name, kind}};
      EXPECT_EQ(key(), "") << name;
    }
  }
  Unit made = make("scale");
  made.id = "before";  // its own key is not known
  plan_.units.push_back(std::move(made));
  unit_.references.clear();
  unit_.from = "before";
  EXPECT_EQ(key(), "");
  unit_.from = "";  // a pass without input
  EXPECT_NE(key(), "");
}

TEST_F(UnitKey, ArithmeticIsTheDeviceAndWhatPrecisionsComeToOverData) {
  const PlanOptions gpu{.device = "cuda:1", .arithmetic = [](std::string_view name) {
                          return base::str_cat(name, "!");
                        }};
  EXPECT_EQ(arithmetic_of(unit_, {}), "cpu");
  EXPECT_EQ(arithmetic_of(unit_, gpu), "cuda");
  unit_.references = {{"teacher", "teacher", Reference::Kind::kModel}};
  EXPECT_EQ(arithmetic_of(unit_, gpu), "cuda");  // a model is no data
  unit_.references.push_back({"calibration", "text", Reference::Kind::kData});
  EXPECT_EQ(arithmetic_of(unit_, gpu), "cuda, rounded!");
  EXPECT_EQ(arithmetic_of(unit_, {}), "cpu, rounded");
  unit_.options["precision"] = "fp32";
  EXPECT_EQ(arithmetic_of(unit_, {}), "cpu, fp32");
  unit_.options.erase("precision");
  EXPECT_EQ(arithmetic_of(unit_, gpu), "cuda");
  unit_ = make("pack");
  EXPECT_EQ(arithmetic_of(unit_, gpu), "");
}

}  // namespace
}  // namespace frugal::pass
