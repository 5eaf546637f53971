#include "passes/prune/method.h"

#include <gtest/gtest.h>

#include <functional>

#include "passes/fake_context.h"
#include "support/toy_model.h"

namespace frugal::passes {
namespace {

constexpr layerwise::CalibrationPlan kText{.windows = 12, .length = 32};

PruneOptions with(const std::function<void(PruneOptions&)>& change) {
  PruneOptions options;
  change(options);
  return options;
}

// Which texts a method needs and looks at, and whether its refit makes up for drift.
struct Traits {
  bool needs = false, uses = false, drifts = false;
  bool operator==(const Traits&) const = default;
};
Traits traits(const PruneOptions& options) {
  const auto method = make_prune_method(options).value();
  return {method->needs_text(), method->uses_text(), method->corrects_drift()};
}

TEST(PruneMethod, ThereIsOneForWhatIsAsked) {
  FRUGAL_EXPECT_ERROR(make_prune_method({}), absl::StatusCode::kInvalidArgument,
                      "nothing to remove");
  const PruneOptions both = with([](auto& o) { o.ffn = o.channels = 0.5; });
  FRUGAL_EXPECT_ERROR(make_prune_method(both), absl::StatusCode::kInvalidArgument,
                      "write a step for each");
}

TEST(PruneMethod, OnlyMagnitudeAndNamedLayersNeedNoText) {
  const auto masked = [](const char* solver, bool refit) {
    return with([&](auto& o) { o.pattern = "50%", o.solver = solver, o.refit = refit; });
  };
  EXPECT_TRUE(traits(masked("mask_refit", false)).needs);
  EXPECT_TRUE(traits(masked("sparsegpt", false)).needs);
  EXPECT_TRUE(traits(masked("wanda", false)).needs);
  EXPECT_EQ(traits(masked("magnitude", false)), (Traits{.needs = false, .uses = true}));  // reports
  EXPECT_TRUE(traits(masked("magnitude", true)).needs);
  const auto cut = [](const char* score, bool compensate) {
    return with([&](auto& o) { o.ffn = 0.5, o.score = score, o.compensate = compensate; });
  };
  EXPECT_TRUE(traits(cut("auto", true)).needs);
  EXPECT_TRUE(traits(cut("magnitude", true)).needs);
  EXPECT_FALSE(traits(cut("magnitude", false)).needs);
  EXPECT_FALSE(traits(with([](auto& o) { o.drop_layer_indices = {1}; })).needs);
  EXPECT_TRUE(traits(with([](auto& o) { o.drop_layers = 1; })).needs);
}

TEST(PruneMethod, ARefitMakesUpForDriftUnlessItsStrengthIsZero) {
  const auto width = [](double alpha, double beta, bool compensate, const char* score) {
    return with([&](auto& o) {
      o.ffn = 0.5, o.alpha = alpha, o.beta = beta, o.compensate = compensate, o.score = score;
    });
  };
  EXPECT_TRUE(traits(width(1, 1, true, "magnitude")).drifts);
  EXPECT_TRUE(traits(width(0, 0.5, true, "magnitude")).drifts);
  EXPECT_FALSE(traits(width(0, 0, true, "magnitude")).drifts);
  EXPECT_FALSE(traits(width(1, 1, false, "magnitude")).drifts);
  EXPECT_TRUE(traits(width(1, 1, false, "obs")).drifts);  // the score is of a refit
  EXPECT_FALSE(traits(with([](auto& o) { o.drop_layers = 1; })).drifts);
}

// A second stream of activations, and drifts in fp64.
TEST(PruneMethod, DriftCostsMemory) {
  const architecture::ModelConfig config = test::toy_config({});
  const PruneOptions with_drift = with([](auto& o) { o.ffn = 0.5; });
  const PruneOptions without = with([](auto& o) { o.ffn = 0.5, o.alpha = o.beta = 0; });
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto drifting, make_prune_method(with_drift));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto plain, make_prune_method(without));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const int64_t more, drifting->walk_bytes(config, kText));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const int64_t less, plain->walk_bytes(config, kText));
  EXPECT_GE(more - less, kText.tokens() * config.hidden_size * 4);
  // Twice the text is twice the stream, at least.
  FRUGAL_ASSERT_OK_AND_ASSIGN(const int64_t longer,
                              plain->walk_bytes(config, {.windows = 24, .length = 32}));
  EXPECT_GE(longer - less, kText.tokens() * config.hidden_size * 4);
}

}  // namespace
}  // namespace frugal::passes
