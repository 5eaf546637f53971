#include "grid/grid.h"

#include <cmath>

#include "grid_properties.h"

namespace frugal::grid {
namespace {

TEST(Grid, UniformTiesGoToTheEvenLevel) {
  const auto grid = grid_or_die("q4_0");
  EXPECT_EQ(grid->nearest_code(0.5f), 8);
  EXPECT_EQ(grid->nearest_code(1.5f), 10);
  EXPECT_EQ(grid->nearest_code(-0.5f), 8);
  EXPECT_EQ(grid->nearest_code(-1.5f), 6);
}

TEST(Grid, ValuesBeyondTheLevelsAreClamped) {
  for (const char* name :
       {"q4_0", "iq4_nl", "q8_0", "q4_k", "q2_k", "q6_k", "nf4", "fp8", "nvfp4", "q2_0"}) {
    const auto grid = grid_or_die(name, 64);
    const auto last = static_cast<uint8_t>(grid->spec().levels.size() - 1);
    EXPECT_EQ(grid->nearest_code(1e30f), last);
    EXPECT_EQ(grid->nearest_code(INFINITY), last);
    EXPECT_EQ(grid->nearest_code(-INFINITY), 0);
    EXPECT_EQ(grid->nearest_code(std::nanf("")), 0);
  }
}

TEST(Grid, EveryLevelIsItsOwnNearest) {
  for (const char* name : {"q4_0", "iq4_nl", "q8_0", "q4_k", "int8:asym", "q3_k", "q5_k", "int3",
                           "nf4", "fp8", "mxfp4", "nvfp4", "q2_0", "tq2_0"}) {
    const auto grid = grid_or_die(name, 64);
    for (size_t code = 0; code < grid->spec().levels.size(); ++code) {
      EXPECT_EQ(grid->nearest_code(grid->spec().levels[code]), code);
    }
  }
}

TEST(Grid, ZeroScaleMeansTheLevelNearestToZero) {
  EXPECT_EQ(inverse_scale(0.0f), 0.0f);
  EXPECT_EQ(inverse_scale(-0.0f), 0.0f);
  EXPECT_EQ(inverse_scale(0.5f), 2.0f);
}

}  // namespace
}  // namespace frugal::grid
