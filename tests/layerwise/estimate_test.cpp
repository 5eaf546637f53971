#include "layerwise/walk/estimate.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace frugal::layerwise
