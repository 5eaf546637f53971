#include "train/scale_tuning_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "support/shared_data.h"
#include "support/toy_model.h"

namespace frugal::train {
namespace {

using namespace frugal::test;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr const char* kMatrix = "model.layers.0.mlp.down_proj.weight";

class ScaleTuningCheck : public testing::Test {
 protected:
  ScaleTuningCheck() {
    const auto grid = grid::find_grid("q8_0", 64).value();
    matrices_.emplace(kMatrix, grid::empty_matrix(grid, 32, 64));
  }
  absl::Status check() const {
    return check_scale_tuning(original_, student_, matrices_, tuning_, validation_, options_);
  }
  model::Decoder original_ = toy_decoder({.layers = 1}), student_ = original_;
  QuantizedMatrices matrices_;
  text::Windows tuning_ = toy_windows(3, 8, 50, 1), validation_ = toy_windows(2, 8, 50, 2);
  ScaleTuningOptions options_;
};

TEST_F(ScaleTuningCheck, WhatFitsIsTaken) {
  FRUGAL_EXPECT_OK(check());
  options_.steps = options_.warmup_steps = options_.checkpoint_every = options_.cache_bytes = 0;
  FRUGAL_EXPECT_OK(check());
}

TEST_F(ScaleTuningCheck, NumbersThatCannotBeAreRefused) {
  const ScaleTuningOptions good = options_;
  const std::vector<std::function<void(ScaleTuningOptions&)>> mistakes = {
      [](auto& o) { o.steps = -1; },
      [](auto& o) { o.tokens_per_step = 0; },
      [](auto& o) { o.warmup_steps = -1; },
      [](auto& o) { o.validations = 0; },
      [](auto& o) { o.checkpoint_every = -1; },
      [](auto& o) { o.chunk_tokens = 0; },
      [](auto& o) { o.cache_bytes = -1; },
      [](auto& o) { o.learning_rate = 0; },
      [](auto& o) { o.learning_rate = std::nan(""); },
      [](auto& o) { o.beta1 = 1; },
      [](auto& o) { o.beta2 = -0.1; },
      [](auto& o) { o.epsilon = 0; }};
  for (size_t i = 0; i < mistakes.size(); ++i) {
    options_ = good;
    mistakes[i](options_);
    SCOPED_TRACE(i);
    FRUGAL_EXPECT_ERROR(check(), kInvalid, "do not fit: counts from 0");
  }
}

TEST_F(ScaleTuningCheck, ModelsMustBeComparable) {
  original_ = toy_decoder({.layers = 1, .vocabulary = 60});
  FRUGAL_EXPECT_ERROR(check(), kInvalid, "the original has 60 ids, the quantized model 50");
}

TEST_F(ScaleTuningCheck, MatricesMustBeTheModels) {
  const QuantizedMatrices good = matrices_;
  matrices_.clear();
  FRUGAL_EXPECT_ERROR(check(), kInvalid, "no quantized matrix is given");
  matrices_ = good;
  matrices_.emplace("absent", good.at(kMatrix));
  FRUGAL_EXPECT_ERROR(check(), kInvalid, "the model has no matrix absent of 32 x 64");
  matrices_ = good;
  matrices_.at(kMatrix) = grid::empty_matrix(good.at(kMatrix).grid, 31, 64);
  FRUGAL_EXPECT_ERROR(check(), kInvalid, base::str_cat("no matrix ", kMatrix, " of 31 x 64"));
}

TEST_F(ScaleTuningCheck, WindowsMustFitTheModel) {
  tuning_.count = 0;
  tuning_.ids.clear();
  FRUGAL_EXPECT_ERROR(check(), kInvalid, "the tuning text has 0 windows of 8 tokens with 0 ids");
  tuning_ = toy_windows(3, 8, 50, 1);
  validation_.ids.pop_back();
  FRUGAL_EXPECT_ERROR(check(), kInvalid,
                      "the validation text has 2 windows of 8 tokens with 15 ids");
  validation_ = toy_windows(2, 65, 50, 2);
  FRUGAL_EXPECT_ERROR(check(), kInvalid,
                      "validation windows of 65 tokens are longer than the model's context of 64");
  validation_ = toy_windows(2, 8, 50, 2);
  tuning_.ids[5] = 50;
  FRUGAL_EXPECT_ERROR(check(), kInvalid, " to 50, the vocabulary has 50");
  tuning_.ids[5] = -1;
  FRUGAL_EXPECT_ERROR(check(), kInvalid, "tuning ids from -1 to ");
}

TEST_F(ScaleTuningCheck, TheStepIsChosenOnOtherText) {
  std::copy_n(validation_.ids.begin() + 8, 8, tuning_.ids.begin() + 16);
  FRUGAL_EXPECT_ERROR(check(), kInvalid,
                      "window 2 of the tuning text is among the validation windows");
  tuning_.ids[23] = (tuning_.ids[23] + 1) % 50;  // one other id is another window
  FRUGAL_EXPECT_OK(check());
}

}  // namespace
}  // namespace frugal::train
