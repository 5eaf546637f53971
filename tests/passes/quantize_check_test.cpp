#include <gmock/gmock.h>

#include "passes/fake_context.h"
#include "passes/quantize/check.h"
#include "support/toy_checkpoint.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// A toy, settings that fit it, and what the check says of both.
class CheckQuantization : public testing::Test {
 protected:
  CheckQuantization() {
    text::DataSource text;
    text.builtin = "storefront";
    context_.sources["text"] = text;
    model_.name = "toy";
    model_.config = toy_config({.layers = 2, .vocabulary = kToyVocabulary});
    model_.has_tokenizer = true;
    settings_.grid = "q4_0";
    settings_.embeddings = settings_.head = "keep";
    settings_.calibration.name = "text";
    settings_.windows.windows = 128;
    settings_.windows.sequence_length = 32;
  }
  absl::Status check() { return check_quantization(settings_, context_, model_); }
  // The message of settings that do not fit; the model is left as it was.
  std::string refused() {
    const pass::ModelInfo before = model_;
    const absl::Status status = check();
    EXPECT_EQ(status.code(), kInvalid) << status;
    model_ = before;
    return std::string(status.message());
  }
  QuantizeSettings settings_;
  FakeCheckContext context_;
  pass::ModelInfo model_;
};

TEST_F(CheckQuantization, TheModelBecomesTheResult) {
  const int64_t matrices = 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32);
  const int64_t others = model_.config.parameter_count() - matrices;
  FRUGAL_ASSERT_OK(check());
  EXPECT_EQ(model_.grids.size(), 2u * 7);
  EXPECT_EQ(model_.grids.at("model.layers.1.mlp.down_proj.weight"), "q4_0");
  EXPECT_EQ(model_.size_bytes, matrices * 18 / 32 + 4 * others);
  EXPECT_EQ(context_.estimated.output_bytes, model_.size_bytes);
  EXPECT_GT(*context_.estimated.seconds, 0);
  EXPECT_GT(*context_.estimated.peak_memory_bytes, 0);
  EXPECT_TRUE(context_.warnings.empty());
  EXPECT_THAT(refused(), testing::HasSubstr("'toy' is quantized already "
                                            "(model.layers.0.mlp.down_proj.weight is q4_0)"));
}

TEST_F(CheckQuantization, HalfPrecisionIsKeptAsHalf) {
  model_.dtype = "BF16";
  FRUGAL_ASSERT_OK(check());
  const int64_t matrices = 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32);
  EXPECT_EQ(model_.size_bytes,
            matrices * 18 / 32 + 2 * (model_.config.parameter_count() - matrices));
}

TEST_F(CheckQuantization, SomethingMustBeQuantized) {
  settings_.overrides.entries = {{"*", "keep"}};
  EXPECT_THAT(refused(), testing::HasSubstr("nothing would be quantized"));
}

TEST_F(CheckQuantization, TheFastSearchIsForRoundingToNearest) {
  settings_.scale_search = "fast";
  EXPECT_THAT(refused(), testing::HasSubstr("scale_search = fast goes with method: rtn"));
  settings_.method = "rtn";
  settings_.calibration.name.clear();
  FRUGAL_EXPECT_OK(check());
  EXPECT_THAT(context_.estimated.basis, testing::StartsWith("scales by the fast search; "));
}

TEST_F(CheckQuantization, ContradictionsAreRefused) {
  settings_.order = "act";
  EXPECT_THAT(refused(), testing::HasSubstr("scales = dynamic chooses the scales"));
  settings_.scales = "static";
  FRUGAL_EXPECT_OK(check());
  model_.grids.clear();
  settings_.order = "group_aware";
  settings_.drift_correction = "none";
  EXPECT_THAT(refused(), testing::HasSubstr("with drift_correction = none leave it out"));
  settings_.drift_correction = "gptaq";
  settings_.drift_strength = "fixed";
  settings_.hessian = "two_sided";
  EXPECT_THAT(refused(), testing::HasSubstr("rounds row by row as published"));
  settings_.hessian = "one_sided";
  settings_.keep_zeros = true;
  EXPECT_THAT(refused(), testing::HasSubstr("gptaq does not know zeros"));
  settings_.drift_correction = "pre_correct";
  settings_.pattern = "2:4";
  EXPECT_THAT(refused(), testing::HasSubstr("only one of them"));
  settings_.keep_zeros = false;
  settings_.rounding_iterations = 5;
  EXPECT_THAT(refused(), testing::HasSubstr("would move weights off zero"));
  settings_.rounding_iterations = 0;
  settings_.grid = "iq4_nl";
  EXPECT_THAT(refused(), testing::HasSubstr("which has no exact zero"));
  settings_.grid = "q4_0";
  settings_.pattern = "2:24";
  EXPECT_THAT(refused(), testing::HasSubstr("model.layers.0.self_attn.q_proj.weight"));
}

TEST_F(CheckQuantization, ATwoSidedHessianGoesWithGptq) {
  settings_.hessian = "two_sided";
  settings_.method = "rtn";
  EXPECT_THAT(refused(), testing::HasSubstr("hessian = two_sided needs method: gptq"));
}

TEST_F(CheckQuantization, RoundedInputsAreSeenByLaterPasses) {
  settings_.grid = "int8:row";
  settings_.activations = "int8";
  FRUGAL_ASSERT_OK(check());
  EXPECT_EQ(model_.activations.size(), 2u * 7);
  model_.grids.clear();
  model_.activations.clear();
  settings_.tune_steps = 5;
  EXPECT_THAT(refused(), testing::HasSubstr("do not see inputs rounded to int8"));
  settings_.tune_steps = 0;
  settings_.grid = "q4_0";
  EXPECT_THAT(refused(), testing::StartsWith("quantize: "));
}

TEST_F(CheckQuantization, ZerosAreFollowed) {
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  model_.zeros[name] = "2:4";
  FRUGAL_ASSERT_OK(check());
  EXPECT_TRUE(model_.zeros.empty());  // gptq moves them
  ASSERT_EQ(context_.warnings.size(), 1u);
  EXPECT_THAT(context_.warnings[0], testing::HasSubstr("set keep_zeros: true"));
  for (const bool keep : {false, true}) {  // nearest keeps them by itself, gptq when it is told to
    context_.warnings.clear();
    model_.grids.clear();
    model_.zeros[name] = "2:4";
    settings_.method = keep ? "gptq" : "rtn";
    settings_.keep_zeros = keep;
    FRUGAL_ASSERT_OK(check());
    EXPECT_EQ(model_.zeros.at(name), "2:4");
    EXPECT_TRUE(context_.warnings.empty());
  }
  model_.grids.clear();
  model_.zeros.clear();
  settings_.keep_zeros = false;
  settings_.pattern = "50%";
  FRUGAL_ASSERT_OK(check());
  EXPECT_EQ(model_.zeros.size(), 2u * 7);
  EXPECT_EQ(model_.zeros.at(name), "50%");
}

// Eight tokens for each of 64 columns.
TEST_F(CheckQuantization, LittleTextIsWarnedOf) {
  settings_.windows.windows = 16;
  FRUGAL_ASSERT_OK(check());
  EXPECT_TRUE(context_.warnings.empty());
  model_.grids.clear();
  settings_.windows.windows = 15;
  FRUGAL_ASSERT_OK(check());
  EXPECT_THAT(context_.warnings,
              testing::ElementsAre("quantize: 480 calibration tokens are few for rows of 64 "
                                   "weights; take at least 512 (more `windows`), or method: rtn"));
  model_.grids.clear();
  settings_.gate.min_tokens = 481;
  EXPECT_THAT(refused(), testing::HasSubstr("min_tokens = 481, but calibration takes 480"));
}

}  // namespace
}  // namespace frugal::passes
