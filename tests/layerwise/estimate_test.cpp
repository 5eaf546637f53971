#include "layerwise/walk/estimate.h"

#include <gtest/gtest.h>

#include "layerwise/walk/token_share.h"
#include "support/toy_mixture.h"
#include "support/toy_model.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

constexpr int64_t kTokens = 1 << 16;

int64_t no_solver(const StageShape&) { return 0; }

WalkMemory memory(const WalkDemand& demand, const SolverBytes& solver = no_solver) {
  return walk_memory(toy_config({}), demand, solver).value();  // C 32, F 64
}

// Where activations are all that counts, the fullest stage is the last: residual and neurons.
TEST(WalkMemory, CountsResidualsAndInputs) {
  EXPECT_EQ(memory({.tokens = kTokens}).activations, kTokens * 4 * (32 + 64));
  EXPECT_EQ(memory({.tokens = kTokens, .drift = DriftForm::kOutputs}).activations,
            2 * kTokens * 4 * (32 + 64));
  EXPECT_EQ(memory({.tokens = 2 * kTokens}).activations, 2 * kTokens * 4 * (32 + 64));
}

TEST(WalkMemory, GrowsWithTokensAndStreams) {
  int64_t before = 0;
  for (const int64_t tokens : {0, 64, 640, 6400, 64000}) {
    const int64_t now = memory({.tokens = tokens}).total();
    EXPECT_GT(now, before);
    EXPECT_LE(now, memory({.tokens = tokens, .drift = DriftForm::kOutputs}).total());
    before = now;
  }
}

TEST(WalkMemory, SpillBoundsActivations) {
  const WalkDemand all{.tokens = kTokens, .drift = DriftForm::kOutputs};
  WalkDemand spilled = all;
  spilled.spill_bytes = 1 << 20;
  const int64_t chunk = 2048 * 2 * 4 * (32 + 64);  // both streams' chunk in work
  EXPECT_EQ(memory(spilled).activations, (1 << 20) + chunk);
  spilled.tokens *= 4;
  EXPECT_EQ(memory(spilled).activations, (1 << 20) + chunk);
  spilled.spill_bytes = int64_t{1} << 40;  // more than there is
  spilled.tokens = kTokens;
  EXPECT_EQ(memory(spilled).activations, memory(all).activations);
}

// As many chunks in work as threads, but no more than there are.
TEST(WalkMemory, HasAChunkInWorkPerThread) {
  const int64_t one = memory({.tokens = kTokens, .threads = 1}).temporaries;
  EXPECT_GT(one, 0);
  EXPECT_EQ(memory({.tokens = kTokens, .threads = 2}).temporaries, 2 * one);
  EXPECT_EQ(memory({.tokens = kTokens, .threads = 1000}).temporaries,
            memory({.tokens = kTokens, .threads = kTokens / 2048}).temporaries);
}

// H [64, 64] of the last stage in fp64, its drifts [32, 64], and the same of held-out windows.
TEST(WalkMemory, CountsStatisticsBesideALargeSolver) {
  const auto last = [](const StageShape& stage) -> int64_t {
    return stage.columns == 64 ? int64_t{1} << 40 : 0;
  };
  const auto statistics = [&](WalkDemand demand) {
    demand.tokens = 640;
    const WalkMemory peak = memory(demand, last);
    EXPECT_EQ(peak.solver, int64_t{1} << 40);
    return peak.statistics;
  };
  EXPECT_EQ(statistics({}), 8 * 64 * 64);
  EXPECT_EQ(statistics({.drift = DriftForm::kOutputs}), 8 * (64 * 64 + 2 * 32 * 64));
  EXPECT_EQ(statistics({.drift = DriftForm::kInputs}), 8 * (2 * 64 * 64 + 32 * 64));
  EXPECT_EQ(statistics({.held_out_tokens = 64, .drift = DriftForm::kOutputs}),
            2 * 8 * (64 * 64 + 2 * 32 * 64));
  EXPECT_EQ(statistics({.needs = Needs::kMoments}), 0);
}

TEST(WalkMemory, HasTheHeadWhereItIsSolved) {
  const auto rows = [](const StageShape& stage) { return stage.rows == 50 ? 1 << 30 : 0; };
  EXPECT_EQ(memory({.tokens = 64}, rows).solver, 0);
  EXPECT_EQ(memory({.tokens = 64, .head = true}, rows).solver, 1 << 30);
}

TEST(EstimateOperations, GrowWithTokensAndDrift) {
  const architecture::ModelConfig config = toy_config({});
  EXPECT_LT(estimate_walk_operations(config, 100, false),
            estimate_walk_operations(config, 200, false));
  EXPECT_LT(estimate_walk_operations(config, 100, false),
            estimate_walk_operations(config, 100, true));
}

// 2 N T for the forward, T d² for each of the four second moments (one half of it, 2 operations
// each), d³ per factor.
TEST(EstimateOperations, CountEachPart) {
  const architecture::ModelConfig config =
      toy_config({.layers = 1});  // C 32, F 64, D 8, 4 and 2 heads
  const double parameters = 2 * 32 * 6 * 8 + 3 * 32 * 64;
  const double moments = 3 * 32 * 32 + 64 * 64, factors = 3 * 32 * 32 * 32 + 64 * 64 * 64;
  EXPECT_DOUBLE_EQ(estimate_walk_operations(config, 10, false),
                   20 * parameters + 10 * moments + factors);
}

// Up and down, and no gate.
TEST(EstimateOperations, CountAPlainFeedForward) {
  const double parameters = 2 * (4 * 32 * 32 + 2 * 32 * 128);
  EXPECT_DOUBLE_EQ(estimate_forward_operations(toy_gpt2_config(), 10), 20 * parameters);
}

// Every pair of a query and a key that it sees takes 2 D operations for its score and as many for
// its value, in each head.
TEST(EstimateOperations, CountTheKeysThatATokenSees) {
  architecture::ModelConfig config = toy_config({.layers = 2});  // 4 heads of 8
  constexpr double kPair = 4 * 4 * 8, kWindows = 3, kLength = 10;
  config.layers[1].attention.window = 4;
  const double all = kLength * (kLength + 1) / 2, near = 1 + 2 + 3 + 4 * (kLength - 3);
  EXPECT_DOUBLE_EQ(estimate_attention_operations(config, 30, 10), kWindows * kPair * (all + near));
  EXPECT_EQ(estimate_attention_operations(config, 0, 0), 0);
}

TEST(TokenShare, IsOfItsExperts) {
  const TokenShare all = share_of(toy_config({}).layers.front());
  EXPECT_EQ(all.times(int64_t{7}), 7);
  EXPECT_EQ(all.times(7.0), 7.0);
  const TokenShare some = share_of(toy_mixture_config({.experts = 8}).layers.front());
  EXPECT_EQ(some.times(int64_t{10}), 3);  // rounded up
  EXPECT_EQ(some.times(10.0), 2.5);
}

// A token meets attention, the router and two of eight experts; each expert has its own moments and
// factors, over a quarter of the tokens.
TEST(EstimateOperations, CountWhatATokenRunsThrough) {
  const architecture::ModelConfig config =
      toy_mixture_config({.layers = 1, .width = 32, .neurons = 64, .experts = 8});
  const double parameters = 2 * 32 * 6 * 8 + 8 * 32 + 2 * 3 * 32 * 64;
  EXPECT_DOUBLE_EQ(estimate_forward_operations(config, 100), 200 * parameters);
  const double moments = 2 * 32 * 32 * 100 + 8 * 25.0 * (32 * 32 + 64 * 64);
  const double factors = 2 * 32 * 32 * 32 + 8.0 * (32 * 32 * 32 + 64 * 64 * 64);
  EXPECT_DOUBLE_EQ(estimate_walk_operations(config, 100, false),
                   200 * parameters + moments + factors);
  // 25 tokens are few for 32 columns and 64: all tokens once, and through every expert.
  EXPECT_DOUBLE_EQ(
      estimate_walk_operations(config, 100, false, 2),
      200 * parameters + moments + factors + 100 * 32 * 32 + 8 * 100.0 * (4 * 32 * 64 + 64 * 64));
  EXPECT_DOUBLE_EQ(estimate_walk_operations(config, 100, false, 0.1),
                   estimate_walk_operations(config, 100, false));
}

// Where activations are all that counts, the fullest moment is at the last expert: the residual
// stream, what experts read, what all others have made of two in eight tokens each, and the neurons
// of the last; the router's list.
TEST(WalkMemory, CountsWhatExpertsHold) {
  const auto activations = [](const ToyMixture& shape) {
    return walk_memory(toy_mixture_config(shape), {.tokens = kTokens}, no_solver)
        .value()
        .activations;
  };
  EXPECT_EQ(activations({.width = 32, .neurons = 64, .experts = 8}),
            kTokens * (4 * (32 + 32 + 7 * 32 / 4 + 64 / 4) + 4 * 8 + 20 * 2));
  EXPECT_EQ(activations({.width = 32, .neurons = 64, .experts = 2}),
            kTokens * (4 * (32 + 32 + 32 + 64) + 4 * 2 + 20 * 2));
}

// H of all tokens beside an expert's own.
TEST(WalkMemory, CountsBlendedStatistics) {
  const auto last = [](const StageShape& stage) -> int64_t {
    return stage.columns == 64 ? int64_t{1} << 40 : 0;
  };
  const architecture::ModelConfig config = toy_mixture_config({.width = 32, .neurons = 64});
  const auto statistics = [&](double blend) {
    return walk_memory(config, {.tokens = 640, .expert_blend = blend}, last).value().statistics;
  };
  EXPECT_EQ(statistics(0), 8 * 64 * 64);
  EXPECT_EQ(statistics(2), 8 * 64 * 64 + 8 * 32 * 32 + 2 * 8 * 64 * 64);
}

// The fullest of layers that differ.
TEST(WalkMemory, LooksAtEveryKindOfLayer) {
  architecture::ModelConfig config = toy_config({});
  const int64_t before = walk_memory(config, {.tokens = kTokens}, no_solver).value().activations;
  config.layers.back().feed_forward.width = 640;
  EXPECT_EQ(walk_memory(config, {.tokens = kTokens}, no_solver).value().activations,
            before + kTokens * 4 * (640 - 64));
}

}  // namespace
}  // namespace frugal::layerwise
