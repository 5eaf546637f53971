#include "grid/fast_search.h"

#include <cstring>
#include <limits>

#include "grid/scale_kernels.h"
#include "grid_properties.h"

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace frugal::grid {
namespace {

// Every grid's own test asks for the properties; here is what they have in common.

struct GroupInput {
  std::vector<float> x, weight, inverse;
  int64_t count;
};

GroupInput group_input(base::RandomStream& random, int64_t count, int candidates) {
  GroupInput input{heavy_weights(random, count * kGroupLanes),
                   uneven_importance(random, count * kGroupLanes),
                   {},
                   count};
  for (int i = 0; i < candidates * kGroupLanes; ++i)
    input.inverse.push_back(static_cast<float>(random.normal() * 50));
  input.inverse[5] = 0;
  return input;
}

TEST(GroupKernels, EveryInstructionSetGivesTheSameBits) {
  constexpr int kTried = 4;
  base::RandomStream random(1, "fast_search/bits");
  for (const char* name :
       {"q4_0", "q8_0", "iq4_nl", "q4_k", "q2_k", "q3_k", "nf4", "fp8", "nvfp4", "q2_0", "tq2_0"}) {
    const auto grid = grid_or_die(name, 64);
    const LevelTable table = grid->table();
    for (const int64_t count : {1, 16, 33}) {
      const GroupInput input = group_input(random, count, kTried);
      Candidates groups;
      for (int lane = 0; lane < kGroupLanes; ++lane) {
        groups.scale[lane] = lane == 3 ? 0.0f : static_cast<float>(random.normal() * 0.02);
        groups.offset[lane] = static_cast<float>(random.normal() * 0.02);
      }
      GroupValues highest;
      highest.fill(0.01f);
      struct Results {
        GroupScales scales{};
        GroupPairSums pairs{};
        CandidateSums sums{};
        GroupMoments moments{};
        GroupValues low{}, high{}, squares{};
      } expected;
      std::vector<float> expected_weights, expected_shifted;
      for (auto kernel = scale_kernels().rbegin(); kernel != scale_kernels().rend(); ++kernel) {
        if (!kernel->available()) continue;
        Results found;
        std::vector<float> x = input.x, weights = input.weight, shifted(x.size());
        kernel->group_range(x.data(), count, found.low.data(), found.high.data());
        kernel->group_multiply(x.data(), count, groups.offset, found.squares.data());
        x = input.x;
        kernel->group_weigh(x.data(), count, found.squares.data(), weights.data());
        kernel->group_moments(x.data(), weights.data(), count, groups.offset, shifted.data(),
                              found.moments);
        kernel->group_sums(x.data(), weights.data(), count, groups, table, found.sums);
        std::fill_n(found.scales.tt, kGroupLanes, 1.0f);
        kernel->group_scales(x.data(), weights.data(), count, input.inverse.data(), kTried, table,
                             found.scales);
        std::fill_n(found.pairs.error, kGroupLanes, std::numeric_limits<float>::infinity());
        kernel->group_pairs(shifted.data(), weights.data(), count, input.inverse.data(), kTried,
                            found.moments, highest.data(), table, found.pairs);
        if (expected_weights.empty()) {  // the plain build comes first
          EXPECT_STREQ(kernel->name, "plain");
          expected = found;
          expected_weights = weights;
          expected_shifted = shifted;
          continue;
        }
        EXPECT_EQ(std::memcmp(&found, &expected, sizeof found), 0) << kernel->name << " " << name;
        EXPECT_EQ(weights, expected_weights) << kernel->name << " " << name;
        EXPECT_EQ(shifted, expected_shifted) << kernel->name << " " << name;
      }
    }
  }
}

// Two groups of two weights: on 1/scale 2 the levels are 2 and 2 (a tie, to the even one), so that
// sum w x t = 10 and sum w t^2 = 24 (ScaleKernels.SumsOfTwoValuesByHand); the second group's levels
// are 2 and -2.
TEST(GroupKernels, ScalesOfTwoGroupsByHand) {
  const auto grid = grid_or_die("q8_0");
  std::vector<float> x(2 * kGroupLanes), weights(2 * kGroupLanes);
  x[0] = 1, x[kGroupLanes] = 0.75f, weights[0] = 2, weights[kGroupLanes] = 4;
  x[1] = 1, x[kGroupLanes + 1] = -1, weights[1] = 1, weights[kGroupLanes + 1] = 1;
  GroupValues inverse;
  inverse.fill(2);
  for (const ScaleKernel& kernel : scale_kernels()) {
    if (!kernel.available()) continue;
    GroupScales best = {};
    std::fill_n(best.tt, kGroupLanes, 1.0f);
    kernel.group_scales(x.data(), weights.data(), 2, inverse.data(), 1, grid->table(), best);
    EXPECT_EQ(best.xt[0], 10) << kernel.name;
    EXPECT_EQ(best.tt[0], 24) << kernel.name;
    EXPECT_EQ(best.xt[1], 4) << kernel.name;
    EXPECT_EQ(best.tt[1], 8) << kernel.name;
    EXPECT_EQ(best.xt[2], 0) << kernel.name;  // nothing there
    EXPECT_EQ(best.tt[2], 1) << kernel.name;
    // A worse candidate changes nothing: on 1/scale 0 every level is 0.
    inverse.fill(0);
    kernel.group_scales(x.data(), weights.data(), 2, inverse.data(), 1, grid->table(), best);
    EXPECT_EQ(best.xt[0], 10) << kernel.name;
    inverse.fill(2);
  }
}

// Weights on a pair's own grid: 0.25 t - 0.5 with t = 0, 2, 15 is found exactly; with offsets at
// most -1 the other scale is what least squares on those codes gives (checked against the formula
// for a fixed offset).
TEST(GroupKernels, PairsOfAGroupByHand) {
  const auto grid = grid_or_die("q4_k");
  std::vector<float> x(3 * kGroupLanes), weights(3 * kGroupLanes, 1.0f), shifted(x.size());
  const float levels[] = {0, 2, 15};
  for (int i = 0; i < 3; ++i) x[i * kGroupLanes] = 0.25f * levels[i] - 0.5f;
  GroupValues none{}, inverse, highest;
  inverse.fill(4);
  for (const ScaleKernel& kernel : scale_kernels()) {
    if (!kernel.available()) continue;
    GroupMoments moments;
    GroupValues low{};
    low[0] = -0.5f;
    kernel.group_moments(x.data(), weights.data(), 3, low.data(), shifted.data(), moments);
    EXPECT_EQ(moments.weight[0], 3);
    EXPECT_EQ(moments.first[0], 4.25f);
    for (const float bound : {10.0f, -0.5f}) {
      highest.fill(bound);
      GroupPairSums best = {};
      std::fill_n(best.error, kGroupLanes, std::numeric_limits<float>::infinity());
      kernel.group_pairs(shifted.data(), weights.data(), 3, inverse.data(), 1, moments,
                         highest.data(), grid->table(), best);
      EXPECT_EQ(best.tt[0], 229) << kernel.name;
      EXPECT_EQ(best.t[0], 17) << kernel.name;
      // sum x t = 57.25 after the shift; with a fixed offset o: scale = (57.25 - 17 o) / 229.
      const float offset = bound > 0 ? 0.0f : bound;
      EXPECT_NEAR(best.offset[0], offset, 1e-6) << kernel.name;
      EXPECT_NEAR(best.scale[0], (57.25f - 17 * offset) / 229, 1e-6) << kernel.name;
    }
  }
}

TEST(FastSearch, AMatrixDoesNotDependOnThreads) {
  base::RandomStream random(3, "fast_search/threads");
  for (const char* name : {"q4_0", "q4_1", "q4_k", "q6_k", "iq4_nl", "int4:asym", "nvfp4"}) {
    const int64_t rows = 37, columns = 768;
    const auto x = heavy_weights(random, rows * columns);
    const auto importance = uneven_importance(random, columns);
    std::vector<QuantizedMatrix> results;
    for (const int threads : {1, 3}) {
#if defined(_OPENMP)
      const int before = omp_get_max_threads();
      omp_set_num_threads(threads);
#endif
      results.push_back(*round_to_nearest(grid_or_die(name), x.data(), rows, columns, importance,
                                          ScaleSearch::kFast));
#if defined(_OPENMP)
      omp_set_num_threads(before);
#endif
    }
    EXPECT_EQ(results[0].codes, results[1].codes) << name;
    EXPECT_EQ(results[0].parameters, results[1].parameters) << name;
  }
}

// What full finds, fast finds within a few percent, over blocks of each kind of grid: candidates
// are a sixth to a third of the full search's, and lie between them.
TEST(FastSearch, StaysCloseToTheFullSearch) {
  base::RandomStream random(4, "fast_search/full");
  for (const char* name : {"q4_0", "q5_0", "q8_0", "q4_1", "iq4_nl", "q3_k", "q4_k", "q6_k",
                           "iq4_xs", "mxfp4", "nvfp4", "q2_0", "tq2_0"}) {
    const auto grid = grid_or_die(name);
    const int64_t columns = 256 * 64;
    const auto x = heavy_weights(random, columns);
    double errors[2] = {};
    for (int i = 0; i < 2; ++i) {
      const auto matrix = *round_to_nearest(grid, x.data(), 1, columns, {},
                                            i == 0 ? ScaleSearch::kFast : ScaleSearch::kFull);
      for (int64_t b = 0; b < columns / grid->spec().block_columns; ++b) {
        const auto from = x.begin() + b * grid->spec().block_columns;
        errors[i] += weighted_error(*grid, {from, from + grid->spec().block_columns}, {},
                                    matrix.block_parameters(0, b));
      }
    }
    EXPECT_LT(errors[0], 1.2 * errors[1]) << name;
  }
}

}  // namespace
}  // namespace frugal::grid
