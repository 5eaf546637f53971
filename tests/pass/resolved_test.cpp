#include <gtest/gtest.h>

#include "pass/yaml.h"
#include "toy.h"

namespace frugal::pass {
namespace {

using test::Workshop;

constexpr const char* kText = R"(frugal: 1
name: toy
description: "colons: and # signs"
seed: 3
vars: {f: 2, where: teacher}
models: {teacher: "${where}"}
data:
  text: {text: [a.txt, "*.txt"], prompt: "{line}\n", labels: {"0": "no", "1": "5"}, limit: 3}
  other: {text: b.txt, same_as: text}
  shop: {builtin: storefront, split: test}
  a-mix: {mix: {text: 2.5, other: 1, self: 1}}
steps:
  - {id: base, pass: scale, with: {factor: "${f}", tokens: 20k}}
  - {id: small, pass: scale, matrix: {factor: [0.50, 3], mode: [up]}, with: {calibration: text, tasks: [text, other]}}
  - {id: file, pass: pack}
  - {id: look, pass: judge, from: [teacher, small], with: {reference: base}}
report: {baseline: base, claim: {metric: toy/size, margin: 0.02}}
)";

std::vector<std::string> keys(const Plan& plan) {
  std::vector<std::string> out;
  for (const Unit& unit : plan.units) out.push_back(unit.name() + " " + unit.key);
  return out;
}

TEST(Resolved, RunsTheSameStepsWithTheSameKeys) {
  Workshop shop;
  const Plan plan = shop.plan(kText);
  const std::string text = print_yaml(resolved_pipeline(plan));
  const Plan again = shop.plan(text);
  EXPECT_EQ(keys(again), keys(plan)) << text;
  EXPECT_EQ(print_yaml(resolved_pipeline(again)), text);
}

TEST(Resolved, WritesOutDefaultsAndHashes) {
  Workshop shop;
  const base::Json resolved = resolved_pipeline(shop.plan(kText));
  EXPECT_EQ(resolved["steps"][0]["from"], "teacher");
  EXPECT_EQ(resolved["steps"][0]["with"]["mode"], "nearest");
  EXPECT_EQ(resolved["steps"][0]["with"]["tokens"], 20000);
  EXPECT_EQ(resolved["steps"][1]["matrix"]["factor"], base::Json::parse("[0.5, 3.0]"));
  EXPECT_FALSE(resolved["steps"][1]["with"].contains("factor"));
  EXPECT_EQ(resolved["models"]["teacher"], (shop.path() / "teacher").string());
  EXPECT_EQ(resolved["inputs"]["models"]["teacher"].get<std::string>().size(), 32u);
  EXPECT_EQ(resolved["inputs"]["data"].size(), 4u);
  EXPECT_FALSE(resolved.contains("vars"));
}

TEST(Resolved, AnInputThatChangedIsAnError) {
  Workshop shop;
  const std::string text = print_yaml(resolved_pipeline(shop.plan(kText)));
  std::filesystem::remove_all(shop.path() / "teacher");
  std::filesystem::create_directories(shop.path() / "teacher");
  FRUGAL_ASSERT_OK(test::write_toy_model(shop.path() / "teacher", 9));
  EXPECT_THAT(shop.problems(text),
              testing::HasSubstr("model 'teacher' has changed since this pipeline was resolved"));
}

}  // namespace
}  // namespace frugal::pass
