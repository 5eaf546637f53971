#include "passes/recompute.h"

#include <filesystem>
#include <fstream>
#include <memory>

#include "energy/fakes.h"
#include "evaluate/items.h"
#include "passes/evaluate/evaluate_pass.h"
#include "passes/evaluate/recompute_evaluation.h"
#include "passes/fake_context.h"
#include "passes/measure/measure_pass.h"
#include "passes/measure/recompute_speed.h"
#include "passes/storefront_model.h"
#include "support/shared_data.h"

namespace frugal::passes {
namespace {

namespace fs = std::filesystem;
using base::Json;

const Json kStart = {{"seed", 1}};

// Steps of a run with their items, as the runner leaves them.
class RecomputeTest : public ::testing::Test {
 protected:
  fs::path run() const { return folder_.path() / "run"; }

  // Runs the pass and keeps what it says as the step `id`/`variant`, whose input is `variant`.
  Json keep(pass::Pass& pass, FakeRunContext& context, const std::string& id,
            const std::string& variant, const Json& options) {
    FRUGAL_EXPECT_OK(pass.run(context));
    const fs::path items = run() / "items" / id / variant;
    fs::create_directories(items);
    for (const auto& [name, lines] : context.written_items)
      FRUGAL_EXPECT_OK(evaluate::write_jsonl(items / (name + ".jsonl"), lines));
    Json step = {{"id", id},
                 {"variant", variant},
                 {"pass", pass.info().name},
                 {"from", {variant}},
                 {"options", options},
                 {"statistics", Json::array()},
                 {"tables", Json::object()}};
    for (const pass::Statistic& statistic : context.statistics)
      step["statistics"].push_back(pass::to_json(statistic));
    for (const auto& [name, rows] : context.tables) step["tables"][name] = rows;
    return step;
  }

  static const Json* named(const std::vector<Json>& rows, const char* key,
                           const std::string& name) {
    for (const Json& row : rows) {
      if (row[key].get<std::string>() == name) return &row;
    }
    return nullptr;
  }

  // Every field that was computed again is what was recorded.
  static void expect_fields(const Json& recorded, const Json& again) {
    for (const auto& [key, value] : again.items()) {
      if (value.is_number())
        EXPECT_DOUBLE_EQ(recorded[key].get<double>(), value.get<double>()) << again;
      else
        EXPECT_EQ(recorded[key], value) << again;
    }
  }

  const test::TemporaryFolder folder_;
};

class RecomputeEvaluationTest : public RecomputeTest {
 protected:
  RecomputeEvaluationTest()
      : model_(write_storefront_model(folder_.path() / "model", 1)),
        teacher_(write_storefront_model(folder_.path() / "teacher", 2)) {}

  Json evaluated(const std::string& name, const fs::path& model) {
    auto pass = make_evaluate_pass();
    set_options(*pass, kFull);
    FakeRunContext context(folder_.path(), *format::Checkpoint::open(model));
    context.sources["sentiment"] = storefront("sentiment", 40);
    context.sources["description"] = storefront("description", 4);
    context.sources["both"] = storefront("", 8);
    context.models["teacher"] = teacher_;
    return keep(*pass, context, "quality", name, kFull);
  }

  const fs::path model_, teacher_;
};

TEST_F(RecomputeEvaluationTest, QualityFollowsFromTheItems) {
  const std::vector<Json> steps = {evaluated("teacher", teacher_), evaluated("student", model_)};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto again, recompute(kStart, steps, steps[1], run()));
  EXPECT_THAT(again.not_computed, testing::IsEmpty());
  for (const Json& recorded : steps[1]["statistics"]) {
    const std::string name = recorded["name"].get<std::string>();
    const Json* found = named(again.statistics, "name", name);
    const bool of_positions =
        name == "kld/median" || name == "kld/maximum" || name.starts_with("kld/p");
    EXPECT_EQ(found == nullptr, of_positions || recorded["value"].is_null()) << name;
    if (found != nullptr) expect_fields(recorded, *found);
  }
  const Json& rows = steps[1]["tables"]["comparison"];
  EXPECT_EQ(again.comparisons.size(), rows.size());
  for (const Json& row : rows) {
    const Json* found = named(again.comparisons, "metric", row["metric"].get<std::string>());
    ASSERT_NE(found, nullptr) << row;
    expect_fields(row, *found);
  }
}

TEST_F(RecomputeEvaluationTest, AnItemOfAnotherAnswerShows) {
  const std::vector<Json> steps = {evaluated("student", model_)};
  const fs::path file = run() / "items" / "quality" / "student" / "sentiment.jsonl";
  FRUGAL_ASSERT_OK_AND_ASSIGN(std::vector<Json> lines, evaluate::read_jsonl(file));
  lines[3]["right"] = !lines[3]["right"].get<bool>();
  FRUGAL_ASSERT_OK(evaluate::write_jsonl(file, lines));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto again, recompute(kStart, steps, steps[0], run()));
  const Json* found = named(again.statistics, "name", "sentiment/accuracy");
  ASSERT_NE(found, nullptr);
  EXPECT_NE((*found)["value"], steps[0]["statistics"][0]["value"]);
  lines[3].erase("scores");
  lines[3]["right"] = 7;
  FRUGAL_ASSERT_OK(evaluate::write_jsonl(file, lines));
  FRUGAL_EXPECT_ERROR(recompute(kStart, steps, steps[0], run()), absl::StatusCode::kDataLoss,
                      "sentiment item 3");
}

// Of another machine or batch: it says so instead of blaming the record.
TEST_F(RecomputeEvaluationTest, AnotherEvaluationOfTheReferenceIsNotTheReference) {
  std::vector<Json> steps = {evaluated("teacher", teacher_), evaluated("student", model_)};
  steps[1]["tables"]["comparison"][0]["reference_value"] = 0.123;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto again, recompute(kStart, steps, steps[1], run()));
  ASSERT_EQ(again.not_computed.size(), 1u);
  EXPECT_THAT(again.not_computed[0], testing::HasSubstr("are not those of step teacher"));
}

TEST_F(RecomputeEvaluationTest, RecordsOfAnyShapeAreAnswered) {
  const Json step = {{"id", 7}, {"pass", "evaluate"}, {"options", "none"}};
  FRUGAL_EXPECT_ERROR(recompute(kStart, {step}, step, run()), absl::StatusCode::kDataLoss,
                      "not what its schema says");
  EXPECT_TRUE(recompute(kStart, {}, {{"pass", "quantize"}}, run())->statistics.empty());
  // Without items there is nothing to compute from.
  const Json bare = {{"id", "quality"}, {"variant", "student"}};
  EXPECT_TRUE(recompute_evaluation(kStart, {bare}, bare, run())->statistics.empty());
  EXPECT_EQ(recompute_speed(1, bare, run())->not_computed.size(), 1u);
}

class RecomputeSpeedTest : public RecomputeTest {
 protected:
  Json measured(bool in_turns) {
    const fs::path model = write_storefront_model(folder_.path() / "model", 1);
    FakeRunContext context(folder_.path(), *format::Checkpoint::open(model));
    std::vector<std::unique_ptr<energy::Meter>> meters;
    meters.push_back(std::make_unique<CountingMeter>());
    context.use_meters(energy::MeterSet(std::move(meters), {}, {.sample_seconds = 0}));
    Json options = {{"prompt_tokens", 8}, {"generated_tokens", 4},   {"batch", {1, 2}},
                    {"repeats", 2},       {"seconds_minimum", 0.01}, {"idle_seconds", 0}};
    if (in_turns) {
      context.models["teacher"] = write_storefront_model(folder_.path() / "teacher", 2);
      options["reference"] = "teacher";
    }
    auto pass = make_measure_pass();
    set_options(*pass, options);
    return keep(*pass, context, "speed", "student", options);
  }

 private:
  class CountingMeter final : public energy::Meter {
   public:
    const energy::MeterInfo& info() const override { return info_; }
    absl::StatusOr<energy::Reading> read() override {
      count_ = count_ * 3 + 1000;
      return energy::Reading{count_, energy::system_clock().seconds()};
    }

   private:
    uint64_t count_ = 0;
    energy::MeterInfo info_ = energy::fake_info("counting");
  };
};

TEST_F(RecomputeSpeedTest, JoulesAndSpeedsFollowFromTheWindows) {
  Json step = measured(false);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto again, recompute(kStart, {step}, step, run()));
  EXPECT_THAT(again.not_computed, testing::IsEmpty());
  for (const Json& recorded : step["statistics"]) {
    const std::string name = recorded["name"].get<std::string>();
    const Json* found = named(again.statistics, "name", name);
    EXPECT_EQ(found == nullptr, name.starts_with("time_") || name.starts_with("latency")) << name;
    if (found != nullptr) expect_fields(recorded, *found);
  }
  EXPECT_NE(named(again.statistics, "name", "joules_per_million_tokens"), nullptr);
  step["tables"]["speed"][1]["joules"] = 1.0;
  FRUGAL_EXPECT_ERROR(recompute(kStart, {step}, step, run()), absl::StatusCode::kDataLoss,
                      "table speed, row 1: joules is recorded as 1.0");
  step["tables"]["speed"].erase(0);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto fewer, recompute(kStart, {step}, step, run()));
  ASSERT_EQ(fewer.not_computed.size(), 1u);
  EXPECT_THAT(fewer.not_computed[0], testing::HasSubstr("do not belong together"));
}

// The windows of the reference are kept beside those of the model, and are not taken for them.
TEST_F(RecomputeSpeedTest, WhatTookTurnsIsToldApart) {
  const Json step = measured(true);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto again, recompute(kStart, {step}, step, run()));
  EXPECT_THAT(again.not_computed, testing::IsEmpty());
  const Json* found = named(again.statistics, "name", "joules_per_million_tokens");
  ASSERT_NE(found, nullptr);
  for (const Json& recorded : step["statistics"]) {
    if (recorded["name"] == "joules_per_million_tokens") expect_fields(recorded, *found);
  }
}

}  // namespace
}  // namespace frugal::passes
