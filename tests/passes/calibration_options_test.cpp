#include "passes/common/calibration_options.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <functional>
#include <memory>

#include "passes/fake_context.h"
#include "support/toy_checkpoint.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// A pass that has what a visitor is shown.
class Options final : public pass::Pass {
 public:
  explicit Options(std::function<void(pass::OptionVisitor&)> show) : show_(std::move(show)) {}
  const pass::PassInfo& info() const override {
    static const pass::PassInfo kInfo{.name = "options", .summary = "Has options."};
    return kInfo;
  }
  void visit_options(pass::OptionVisitor& visitor) override { show_(visitor); }
  absl::Status check(pass::CheckContext&, pass::ModelInfo&) const override {
    return absl::OkStatus();
  }
  absl::Status run(pass::RunContext&) const override { return absl::OkStatus(); }

 private:
  std::function<void(pass::OptionVisitor&)> show_;
};

std::vector<std::string> names(Options& options) {
  std::vector<std::string> out;
  for (const auto& option : pass::describe_options(options)) out.push_back(option.name);
  return out;
}

TEST(CalibrationOptions, AreReadIntoTheirFields) {
  layerwise::CalibrationOptions windows;
  Options options([&](pass::OptionVisitor& visitor) { visit_windows(visitor, windows); });
  EXPECT_THAT(names(options),
              testing::ElementsAre("windows", "sequence_length", "calibration_precision",
                                   "activation_memory", "min_expert_tokens", "expert_blend"));
  EXPECT_THAT(pass::precision_options(options), testing::ElementsAre("calibration_precision"));
  set_options(options, {{"windows", 12},
                        {"sequence_length", 64},
                        {"calibration_precision", "fp32"},
                        {"activation_memory", 1 << 20},
                        {"min_expert_tokens", 7},
                        {"expert_blend", 3.5}});
  EXPECT_EQ(windows.windows, 12);
  EXPECT_EQ(windows.sequence_length, 64);
  EXPECT_EQ(windows.precision, "fp32");
  EXPECT_EQ(windows.activation_memory, 1 << 20);
  EXPECT_EQ(windows.min_expert_tokens, 7);
  EXPECT_EQ(windows.expert_blend, 3.5);
}

TEST(CalibrationOptions, AnotherOptionMayDecideTheNumberOfWindows) {
  layerwise::CalibrationOptions windows;
  std::optional<int64_t> given;
  Options options([&](pass::OptionVisitor& visitor) {
    visit_windows(visitor, given, "as the recipe says", windows);
  });
  EXPECT_EQ(names(options).size(), 6u);
  EXPECT_EQ(pass::describe_options(options)[0].default_text(), "as the recipe says");
  set_options(options, {{"windows", 12}});
  EXPECT_EQ(given, 12);
  EXPECT_EQ(windows.windows, 0);
}

TEST(CalibrationOptions, ThePrecisionStandsAloneToo) {
  layerwise::CalibrationOptions windows;
  Options options([&](pass::OptionVisitor& visitor) { visit_precision(visitor, windows); });
  EXPECT_THAT(names(options), testing::ElementsAre("calibration_precision"));
  EXPECT_THAT(pass::describe_options(options)[0].choices, testing::ElementsAre("rounded", "fp32"));
}

class CheckWindows : public testing::Test {
 protected:
  CheckWindows() {
    model_.name = "toy";
    model_.config = toy_config({.vocabulary = kToyVocabulary});  // a context of 64 tokens
    model_.has_tokenizer = true;
    text::DataSource text;
    text.text = {write_toy_text(folder_.path()).string()};
    context_.sources["text"] = text;
  }
  absl::StatusOr<layerwise::CalibrationPlan> check(const char* data = "text") {
    return check_windows(context_, "prune", model_, {data}, options_);
  }
  TemporaryFolder folder_;
  FakeCheckContext context_;
  pass::ModelInfo model_;
  layerwise::CalibrationOptions options_;
};

TEST_F(CheckWindows, DefaultsFollowTheModelAndTheData) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const layerwise::CalibrationPlan plain, check());
  EXPECT_EQ(plain.windows, layerwise::default_windows(model_.config, 64));
  EXPECT_EQ(plain.length, 64);
  context_.sources["text"].tokens = 1000;
  context_.sources["text"].sequence_length = 32;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const layerwise::CalibrationPlan limited, check());
  EXPECT_EQ(limited.windows, 31);  // whole ones
  EXPECT_EQ(limited.length, 32);
  options_ = {.windows = 3, .sequence_length = 16};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const layerwise::CalibrationPlan given, check());
  EXPECT_EQ(given.tokens(), 3 * 16);
}

TEST_F(CheckWindows, WhatCannotRunIsRefusedBeforehand) {
  FRUGAL_EXPECT_ERROR(check("absent"), absl::StatusCode::kNotFound, "absent");
  options_.sequence_length = 65;
  EXPECT_FALSE(check().ok());  // longer than the context
  options_.sequence_length = 0;
  model_.has_tokenizer = false;
  FRUGAL_EXPECT_ERROR(check(), kInvalid, "prune: 'toy' has no tokenizer");
}

// Where the model writes its text, its weights are in memory and each token takes a forward.
TEST_F(CheckWindows, TextOfTheModelItselfIsForecast) {
  context_.sources["self"] = {.self = true};
  context_.sources["mixed"].mix = {
      {"text", 3, std::make_shared<const text::DataSource>(context_.sources["text"])},
      {"self", 1, std::make_shared<const text::DataSource>(context_.sources["self"])}};
  options_ = {.windows = 8, .sequence_length = 16};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const layerwise::CalibrationPlan read, check());
  EXPECT_EQ(writing_memory(model_.config, read), 0);
  EXPECT_EQ(writing_operations(model_.config, read), 0);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const layerwise::CalibrationPlan written, check("self"));
  EXPECT_GT(writing_memory(model_.config, written), 4 * model_.config.parameter_count());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const layerwise::CalibrationPlan mixed, check("mixed"));
  EXPECT_EQ(writing_operations(model_.config, mixed),
            writing_operations(model_.config, written) / 4);
}

TEST_F(CheckWindows, TextOfTheModelItselfIsWrittenIntoTheResumeFolder) {
  const format::Checkpoint toy = toy_checkpoint(folder_.path() / "toy", {.layers = 1});
  const FakeRunContext context(folder_.path(), toy);
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const text::Windows windows,
      load_windows(context, toy, at::kCPU, "prune", {.self = true, .seed = 5},
                   {.windows = 3, .length = 8, .self_share = 1}));
  EXPECT_EQ(windows.count, 3);
  EXPECT_TRUE(std::filesystem::exists(context.resume_folder() / "self-text-5-3.json"));
}

// Only where the tokenizer is there already can a plan say how many tokens a text has.
TEST_F(CheckWindows, TooLittleTextIsSeenWhereTheTokenizerCanBeRead) {
  context_.sources["text"].text = {write_toy_text(folder_.path(), 3).string()};
  FRUGAL_EXPECT_OK(check());
  const format::Checkpoint toy = toy_checkpoint(folder_.path() / "toy", {.layers = 1});
  model_.tokenizer_folder = toy.folder();
  FRUGAL_EXPECT_ERROR(check(), kInvalid, "prune: calibration: ");
  context_.sources["text"].text = {write_toy_text(folder_.path(), 300).string()};
  FRUGAL_EXPECT_OK(check());
}

TEST(WalkOptions, FollowTheOptions) {
  const TemporaryFolder folder;
  const FakeRunContext context(folder.path(), std::nullopt);
  layerwise::CalibrationOptions options{.precision = "rounded", .activation_memory = 1 << 20};
  const layerwise::WalkDemand demand = walk_demand(options, {.windows = 12, .length = 32});
  EXPECT_EQ(demand.tokens, 12 * 32);
  EXPECT_EQ(demand.window_tokens, 32);
  EXPECT_EQ(demand.precision, model::Precision::kRounded);
  EXPECT_EQ(demand.spill_bytes, 1 << 20);
  EXPECT_EQ(demand.threads, at::get_num_threads());
  const layerwise::WalkOptions walk = walk_options(options, at::kCPU, "prune", context);
  EXPECT_EQ(walk.precision, demand.precision);
  EXPECT_EQ(walk.spill_bytes, demand.spill_bytes);
  EXPECT_EQ(walk.spill_folder, context.resume_folder());
  EXPECT_EQ(walk.title, "prune toy");
  EXPECT_EQ(walk.held_out, 0);
  options.precision = "fp32";
  EXPECT_EQ(walk_demand(options, {}).precision, model::Precision::kFloat32);
  EXPECT_EQ(walk_demand(options, {}).tokens, 0);  // without text
  EXPECT_EQ(walk_demand(options, {}).window_tokens, 1);
}

}  // namespace
}  // namespace frugal::passes
