#include <gtest/gtest.h>

#include "layerwise/toy_model.h"
#include "layerwise/walk.h"

namespace frugal::layerwise {
namespace {

TEST(Estimate, GrowsWithTokensAndDrift) {
  const format::ModelConfig config = toy_config({});
  EXPECT_LT(estimate_walk_bytes(config, 100, false), estimate_walk_bytes(config, 200, false));
  EXPECT_LT(estimate_walk_bytes(config, 100, false), estimate_walk_bytes(config, 100, true));
  EXPECT_LT(estimate_walk_operations(config, 100, false),
            estimate_walk_operations(config, 200, false));
  EXPECT_LT(estimate_walk_operations(config, 100, false),
            estimate_walk_operations(config, 100, true));
}

// 2 N T for the forward, T d² for each of the four second moments (one half of it, 2 operations
// each), d³ per factor.
TEST(Estimate, CountsOperations) {
  const format::ModelConfig config = toy_config({.layers = 1});  // C 32, F 64, D 8, 4 and 2 heads
  const double parameters = 2 * 32 * 6 * 8 + 3 * 32 * 64;
  const double moments = 3 * 32 * 32 + 64 * 64, factors = 3 * 32 * 32 * 32 + 64 * 64 * 64;
  EXPECT_DOUBLE_EQ(estimate_walk_operations(config, 10, false),
                   20 * parameters + 10 * moments + factors);
}

}  // namespace
}  // namespace frugal::layerwise
