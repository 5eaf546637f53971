#include "passes/common/scale_tuning.h"

#include <gmock/gmock.h>

#include "passes/fake_context.h"
#include "support/toy_model.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

// 10 windows of 8 tokens, 4 held out, two windows a step.
TuningDemand demand(int64_t steps) {
  TuningDemand result{.weights = 3200,
                      .largest = 1600,
                      .code_bytes = 4000,
                      .window_tokens = 8,
                      .windows = 10,
                      .validation_windows = 4};
  result.loop.steps = steps;
  result.loop.tokens_per_step = 16;
  return result;
}

class TuningForecast : public testing::Test {
 protected:
  int64_t memory(const TuningDemand& demand) const { return tuning_memory(config_, demand); }
  const architecture::ModelConfig config_ = toy_config({.layers = 2});
  const int64_t state_ = 8 * config_.hidden_size * 4;  // bytes of a window's hidden states
};

TEST_F(TuningForecast, CodesAreHeldTwiceAndAModelOfItsOwnWhole) {
  TuningDemand more = demand(20);
  const int64_t before = memory(more);
  more.code_bytes += 1000;
  EXPECT_EQ(memory(more) - before, 2 * 1000);
  more = demand(20);
  more.own_student = true;  // also what is not on a grid
  EXPECT_EQ(memory(more) - before, 4 * (config_.parameter_count() - 3200));
}

TEST_F(TuningForecast, StatesAreKeptOfATextThatFitsAsAWhole) {
  TuningDemand all = demand(20), validation = demand(20), none = demand(20);
  all.loop.cache_bytes = 10 * state_;
  validation.loop.cache_bytes = 10 * state_ - 1;  // four windows fit, ten do not
  none.loop.cache_bytes = 4 * state_ - 1;
  EXPECT_EQ(memory(validation) - memory(none), 4 * state_);
  EXPECT_EQ(memory(all) - memory(validation), 10 * state_);  // twenty steps see all of them
  TuningDemand few = all;
  few.loop.steps = 3;
  // Six windows of steps; the rest of the forecast does not depend on the number of steps.
  EXPECT_EQ(memory(all) - memory(few), 4 * state_);
}

TEST_F(TuningForecast, ThreadsCountAsFarAsWindowsRunSideBySide) {
  TuningDemand one = demand(20), two = demand(20), four = demand(20), many = demand(20);
  two.threads = 2, four.threads = 4, many.threads = 64;
  const int64_t each = memory(two) - memory(one);
  EXPECT_GE(each, 4 * 3200);  // the gradients of all weights on grids, at least
  EXPECT_EQ(memory(four) - memory(two), 2 * each);
  EXPECT_EQ(memory(many), memory(four));  // of the four held-out windows, or two of a step
}

TEST_F(TuningForecast, MeasuringTakesLessThanTuning) {
  EXPECT_LT(memory(demand(0)), memory(demand(1)));
  TuningDemand longer = demand(0), trained = demand(1);
  longer.window_tokens = trained.window_tokens = 16;
  trained.loop.tokens_per_step = 32;
  // Without a backward one layer of a window is held, with it both.
  EXPECT_LT(memory(longer) - memory(demand(0)), memory(trained) - memory(demand(1)));
}

// By hand, in forwards of a token at 2 operations a parameter, 6 with the way back.
TEST_F(TuningForecast, OperationsAreForwardsAndBackwards) {
  const auto parameters = static_cast<double>(config_.parameter_count());
  // The original on 4 windows of either text; the student on the 4 held out, and before and after
  // on 4 of the tuning text.
  EXPECT_DOUBLE_EQ(tuning_operations(config_, demand(0)),
                   parameters * 8 * (2 * (4 + 4) + 2 * (4 + 2 * 4)));
  // Two steps of two windows: within the 4 of the original; two looks at the held-out windows more.
  EXPECT_DOUBLE_EQ(tuning_operations(config_, demand(2)),
                   parameters * 8 * (2 * (4 + 4) + 6 * 4 + 2 * (3 * 4 + 2 * 4)));
  // Twenty steps: all 10 windows, five looks more.
  EXPECT_DOUBLE_EQ(tuning_operations(config_, demand(20)),
                   parameters * 8 * (2 * (10 + 4) + 6 * 40 + 2 * (6 * 4 + 2 * 4)));
}

TEST(TuningReport, SaysWhatCameOfIt) {
  const TemporaryFolder folder;
  FakeRunContext context(folder.path(), std::nullopt);
  report_tuning(context, {.steps = 20,
                          .tokens = 320,
                          .best_step = 10,
                          .training = {.before = 0.75, .after = 0.5},
                          .validation = {.before = 0.25, .after = 0.125},
                          .curve = {{1, 0.5}, {2, 0.25}},
                          .validations = {{0, 0.25}},
                          .trained_parameters = 100});
  const std::map<std::string, double> expected = {{"kl_before", 0.25},
                                                  {"kl_after", 0.125},
                                                  {"training_kl_before", 0.75},
                                                  {"training_kl_after", 0.5},
                                                  {"best_step", 10},
                                                  {"steps", 20},
                                                  {"tokens", 320},
                                                  {"trained_parameters", 100}};
  EXPECT_EQ(context.statistics.size(), expected.size());
  for (const auto& [name, value] : expected) EXPECT_EQ(context.value(name), value) << name;
  EXPECT_EQ(context.statistics[0].unit, "nats/token");
  EXPECT_THAT(context.tables.at("tuning"),
              testing::ElementsAre(base::Json({{"step", 1}, {"kl", 0.5}}),
                                   base::Json({{"step", 2}, {"kl", 0.25}})));
  EXPECT_THAT(context.tables.at("validation"),
              testing::ElementsAre(base::Json({{"step", 0}, {"kl", 0.25}})));
}

}  // namespace
}  // namespace frugal::passes
