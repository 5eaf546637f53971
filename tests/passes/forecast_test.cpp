#include "passes/quantize/forecast.h"

#include <gtest/gtest.h>

#include "layerwise/walk/estimate.h"
#include "layerwise/walk/self_text.h"
#include "passes/common/machine_speed.h"
#include "passes/common/scale_tuning.h"
#include "support/shared_data.h"
#include "support/toy_model.h"

namespace frugal::passes {
namespace {

constexpr layerwise::CalibrationPlan kText{.windows = 12, .length = 32};

// Of this machine; the same number whenever it is asked for.
double speed() { return walk_speed(model::Precision::kRounded, at::kCPU).value(); }

class Forecast : public testing::Test {
 protected:
  Forecast() {
    settings_.calibration.name = "text";
    plan_ = plan_grids(config_, {.grid = "q4_0", .embeddings = "keep", .head = "keep"}).value();
  }
  pass::Estimate of(const QuantizeSettings& settings,
                    const layerwise::CalibrationPlan& text = kText) const {
    return forecast(settings, plan_, config_, text, 4711, at::kCPU).value();
  }
  double seconds(const QuantizeSettings& settings) const { return *of(settings).seconds; }
  const architecture::ModelConfig config_ = test::toy_config({});
  std::vector<PlannedTensor> plan_;
  QuantizeSettings settings_;
};

TEST_F(Forecast, BytesAreThoseOfGridsAndOfWhatIsKept) {
  int64_t grids = 0, kept = 0, elements = 0;
  for (const PlannedTensor& tensor : plan_) {
    elements += element_count(tensor);
    if (tensor.grid.empty()) {
      kept += element_count(tensor);
    } else {
      EXPECT_EQ(tensor.size_bytes * 32, element_count(tensor) * 18) << tensor.name;  // q4_0
      grids += tensor.size_bytes;
    }
  }
  EXPECT_EQ(elements, config_.parameter_count());
  EXPECT_EQ(planned_bytes(plan_, 2), grids + 2 * kept);
  EXPECT_EQ(planned_bytes(plan_, 4), grids + 4 * kept);
  EXPECT_EQ(element_count({.name = "x", .shape = {3, 5, 7}}), 105);
  EXPECT_EQ(element_count({.name = "x", .shape = {}}), 1);
  EXPECT_EQ(of(settings_).output_bytes, 4711);
}

// The sweep goes over a row's columns for each weight: 6 operations, and 2 for each pass after it.
TEST_F(Forecast, SweepsAreCountedByWeightsAndColumns) {
  QuantizeSettings few = settings_, many = settings_;
  few.descent_passes = 1;
  many.descent_passes = 6;
  double columns_of_weights = 0;
  for (const PlannedTensor& tensor : plan_) {
    if (tensor.layer >= 0)
      columns_of_weights += static_cast<double>(element_count(tensor) * tensor.shape.back());
  }
  EXPECT_NEAR(seconds(many) - seconds(few),
              2 * 5 * columns_of_weights / sweep_speed(at::kCPU).value(), 1e-9 * seconds(many));
  QuantizeSettings nearest = settings_;
  nearest.method = "rtn";
  EXPECT_LT(seconds(nearest), seconds(few));
}

TEST_F(Forecast, WithoutTextThereIsNoWalkToPayFor) {
  QuantizeSettings nearest;
  nearest.method = "rtn";
  const pass::Estimate plain = of(nearest, {});
  double searches = 0;
  for (const PlannedTensor& tensor : plan_) {
    if (tensor.grid.empty()) continue;
    searches += static_cast<double>(element_count(tensor)) *
                rounding_seconds("q4_0", tensor.shape.back(), grid::ScaleSearch::kFull);
  }
  EXPECT_NEAR(*plain.seconds,
              layerwise::estimate_walk_operations(config_, 0, false) / speed() + searches,
              1e-9 * searches);
  EXPECT_LT(*plain.seconds, seconds(settings_));
}

// The windows held out, too.
TEST_F(Forecast, WhatTheModelWritesTakesTime) {
  layerwise::CalibrationPlan own = kText;
  own.self_share = 1;
  ASSERT_GT(settings_.held_out_needed(), 0);
  const int64_t tokens = (own.windows + settings_.held_out_needed()) * own.length;
  const double writing =
      layerwise::self_text_operations(config_, tokens) / writing_speed(at::kCPU).value();
  EXPECT_NEAR(*of(settings_, own).seconds - seconds(settings_), writing, 1e-9 * writing);
}

TEST_F(Forecast, TuningAndGradientsComeOnTop) {
  QuantizeSettings tuned = settings_;
  tuned.tune_steps = 10;
  tuned.tune_windows = 20;
  TuningDemand demand;
  demand.window_tokens = 32;
  demand.windows = 20;
  demand.validation_windows = tuned.held_out_needed();
  demand.loop.steps = 10;
  EXPECT_EQ(demand.validation_windows, settings_.held_out_needed());
  EXPECT_NEAR(seconds(tuned) - seconds(settings_), tuning_operations(config_, demand) / speed(),
              1e-9 * seconds(tuned));
  QuantizeSettings two_sided = settings_;
  two_sided.hessian = "two_sided";
  EXPECT_GT(seconds(two_sided), seconds(settings_));
}

// To choose grids the whole model is held twice, fp32. Large enough for that to be far from what
// else a process takes meanwhile.
TEST(ForecastOfATarget, HoldsTheModelTwice) {
  const architecture::ModelConfig config =
      test::toy_config({.layers = 24, .width = 256, .neurons = 512, .vocabulary = 1000});
  QuantizeSettings fixed, target;
  fixed.calibration.name = target.calibration.name = "text";
  target.target.target_bits = 4.5;
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto plan, plan_grids(config, {.grid = "q4_0", .embeddings = "keep", .head = "keep"}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const pass::Estimate one,
                              forecast(fixed, plan, config, kText, 1, at::kCPU));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const pass::Estimate two,
                              forecast(target, plan, config, kText, 1, at::kCPU));
  const int64_t models = 2 * 4 * config.parameter_count();
  ASSERT_GT(models, int64_t{100} << 20);
  EXPECT_NEAR(static_cast<double>(*two.peak_memory_bytes - *one.peak_memory_bytes),
              static_cast<double>(models), 0.1 * static_cast<double>(models));
  EXPECT_GT(*two.seconds, *one.seconds);
}

}  // namespace
}  // namespace frugal::passes
