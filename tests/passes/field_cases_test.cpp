// Kinds of fault from the field (tests/README.md) that show in a plan.
#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "base/text.h"
#include "fake_context.h"
#include "pass/option_reader.h"
#include "pass/pipeline.h"
#include "pass/plan.h"
#include "pass/yaml.h"
#include "passes/evaluate/evaluate_pass.h"
#include "passes/measure/measure_pass.h"
#include "passes/prune/prune_pass.h"
#include "passes/quantize/quantize_pass.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

class FieldCases : public ::testing::Test {
 protected:
  // Checks `pass` with `options` on the toy; "text" is data of `words` words.
  absl::Status check(std::unique_ptr<pass::Pass> pass, const base::Json& options,
                     const test::ToyShape& shape, int64_t words = 4000) {
    const format::Checkpoint toy = toy_checkpoint(folder_.path() / "toy", shape);
    for (const auto& edit : edits_) edit(folder_.path() / "toy");
    set_options(*pass, options);
    context_ = FakeCheckContext();
    context_.sources["text"].text = {write_toy_text(folder_.path(), words).string()};
    FRUGAL_ASSIGN_OR_RETURN(pass::ModelInfo info, pass::model_info("toy", toy));
    return pass->check(context_, info);
  }
  std::string warnings() const { return base::join(context_.warnings, "\n"); }
  test::TemporaryFolder folder_;
  FakeCheckContext context_;
  std::vector<std::function<void(const std::filesystem::path&)>> edits_;
};

const base::Json kQuantize = {{"grid", "q8_0"}, {"calibration", "text"}, {"sequence_length", 64}};

base::Json with(base::Json options, const char* key, base::Json value) {
  options[key] = std::move(value);
  return options;
}

TEST_F(FieldCases, PlanRefusesPiecesWithoutARow) {
  edits_ = {[](const std::filesystem::path& folder) {
    std::ofstream(folder / "added_tokens.json") << "{\"<pad>\": " << kToyVocabulary << "}";
  }};
  FRUGAL_EXPECT_ERROR(check(make_quantize_pass(), kQuantize, {.layers = 1}), kInvalid,
                      "'<pad>' (id 280, from ");
}

TEST_F(FieldCases, PlanRefusesATextShorterThanAWindow) {
  FRUGAL_EXPECT_OK(check(make_quantize_pass(), kQuantize, {.layers = 1}));
  FRUGAL_EXPECT_ERROR(check(make_quantize_pass(), kQuantize, {.layers = 1}, 5), kInvalid,
                      "fewer than one window of 64");
  FRUGAL_EXPECT_ERROR(check(make_evaluate_pass(), {{"perplexity", "text"}, {"protocol", "gptq-64"}},
                            {.layers = 1}, 5),
                      kInvalid, "one window needs 64");
}

TEST_F(FieldCases, PlanRefusesAGateThatNoTextPasses) {
  const base::Json options = with(with(kQuantize, "windows", 2), "min_tokens", 1000);
  FRUGAL_EXPECT_ERROR(check(make_quantize_pass(), options, {.layers = 1}), kInvalid,
                      "min_tokens = 1000, but calibration takes 128 tokens at most");
}

TEST_F(FieldCases, PlanRefusesATaskWithoutLabels) {
  FRUGAL_EXPECT_ERROR(check(make_evaluate_pass(), {{"tasks", {"text"}}}, {.layers = 1}), kInvalid,
                      "task 'text' has no labels");
}

TEST_F(FieldCases, PlanRefusesToKeepEverything) {
  const base::Json options = {{"grid", "keep"}, {"method", "rtn"}};
  FRUGAL_EXPECT_ERROR(check(make_quantize_pass(), options, {.layers = 1}), kInvalid,
                      "nothing would be quantized");
}

// 4 query heads share 2 key/value heads in a toy; its hidden size is 32, its neurons 64.
TEST_F(FieldCases, SharesThatComeOutAsNothingAreRefused) {
  const test::ToyShape shape{.layers = 1, .width = 64, .neurons = 64};
  const auto prune = [&](const base::Json& options) {
    return check(make_prune_pass(), with(options, "score", "magnitude"), shape);
  };
  const base::Json cut = {{"compensate", false}};
  FRUGAL_EXPECT_ERROR(prune(with(cut, "heads", 0.75)), kInvalid, "nothing would be removed");
  FRUGAL_EXPECT_ERROR(prune(with(cut, "heads", 0.75)), kInvalid, "heads_by: group");
  FRUGAL_EXPECT_ERROR(prune(with(cut, "ffn", 0.97)), kInvalid,
                      "ffn = 0.97 asks to keep 62.08 of 64 neurons");
  FRUGAL_EXPECT_ERROR(prune(with(cut, "ffn", 0.97)), kInvalid, "multiple_of = 32 allows 32 or 64");
  FRUGAL_EXPECT_ERROR(prune(with(cut, "channels", 0.99)), kInvalid,
                      "asks to keep 63.36 of 64 channels");
  FRUGAL_EXPECT_ERROR(prune(with(cut, "ffn", 1.0)), kInvalid, "nothing would be removed");
  FRUGAL_EXPECT_OK(prune(with(with(cut, "ffn", 0.97), "multiple_of", 2)));
  EXPECT_EQ(warnings(), "");
}

TEST_F(FieldCases, SharesThatComeOutOtherwiseAreSaid) {
  const test::ToyShape shape{.layers = 1, .width = 64, .neurons = 128};
  const base::Json options = {{"ffn", 0.4}, {"score", "magnitude"}, {"compensate", false}};
  FRUGAL_EXPECT_OK(check(make_prune_pass(), options, shape));
  EXPECT_NE(warnings().find("ffn = 0.4 asks to keep 51.2 of 128 neurons; 64 are kept"),
            std::string::npos)
      << warnings();
}

TEST_F(FieldCases, PatternsThatRoundToNothingAreRefused) {
  const base::Json options = {{"pattern", "0.1%"}, {"solver", "magnitude"}};
  FRUGAL_EXPECT_ERROR(check(make_prune_pass(), options, {.layers = 1}), kInvalid, "none would go");
  const base::Json none = {{"overrides", {{"*", "none"}}}, {"solver", "magnitude"}};
  FRUGAL_EXPECT_ERROR(check(make_prune_pass(), none, {.layers = 1}), kInvalid,
                      "nothing would be removed");
}

std::string problems_of(std::unique_ptr<pass::Pass> pass, const std::string& yaml) {
  pass::Problems problems("f");
  pass::Positions positions;
  pass::read_options(*pass, pass::parse_yaml(yaml, problems), {}, problems, positions);
  return problems.text();
}

TEST_F(FieldCases, OptionsNameTheLikelySlip) {
  const auto names = [](const std::string& text, const char* slip) {
    EXPECT_NE(text.find(slip), std::string::npos) << text;
  };
  names(problems_of(make_prune_pass(), "ffn: 75"), "it is a share: 75% is 0.75");
  names(problems_of(make_evaluate_pass(), "margin: 2"), "2% is 0.02");
  names(problems_of(make_measure_pass(), "seconds_minimum: 5000"), "5000 ms are 5");
  names(problems_of(make_quantize_pass(), "activation_memory: 4"), "4 GiB is written 4GiB");
  EXPECT_EQ(problems_of(make_quantize_pass(), "activation_memory: 0"), "");
  EXPECT_EQ(problems_of(make_quantize_pass(), "activation_memory: 4GiB"), "");
}

TEST_F(FieldCases, ClaimsHaveAMarginBelowOne) {
  pass::Problems problems("f");
  pass::parse_pipeline(
      "frugal: 1\nname: p\nsteps: [{id: a, pass: train}]\nreport:\n  claim: {metric: x/accuracy, "
      "margin: 2}\n",
      folder_.path(), {}, problems);
  EXPECT_NE(problems.text().find("2% is 0.02"), std::string::npos) << problems.text();
}

}  // namespace
}  // namespace frugal::passes
