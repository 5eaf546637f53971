#include "grid/scale_candidates.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace frugal::grid {
namespace {

TEST(CandidateStep, IsATenthOfALevelAndMoreWhereLevelsAreFine) {
  EXPECT_FLOAT_EQ(candidate_step(4) * 4, 0.1f);
  EXPECT_FLOAT_EQ(candidate_step(8) * 8, 0.1f);
  EXPECT_FLOAT_EQ(candidate_step(32) * 32, 0.2f);  // sqrt(32 / 8) = 2
}

TEST(CandidateStretch, GrowsWithTheOutlier) {
  const std::vector<float> level(16, 1.0f);
  EXPECT_EQ(candidate_stretch(level, 1.0f), 1.0f);
  std::vector<float> outlier(256, 0.0f);
  outlier[17] = -3.0f;  // 16 times the root mean square
  EXPECT_FLOAT_EQ(candidate_stretch(outlier, 3.0f), 0.5f * 16 - 1);
  // Groups of 16 cannot need more than 1: sqrt(16) / 2 - 1.
  std::vector<float> small(16, 0.0f);
  small[3] = 5.0f;
  EXPECT_EQ(candidate_stretch(small, 5.0f), 1.0f);
}

TEST(MomentsOf, AreSumsOfTheShiftedBlock) {
  const std::vector<float> x = {1, 2, 4}, weights = {1, 3, 0.5f};
  const Moments& moments = moments_of(x, weights, 1.0f);
  EXPECT_EQ(moments.x, (std::vector<float>{0, 1, 3}));
  EXPECT_EQ(moments.weighted_x, (std::vector<float>{0, 3, 1.5f}));
  EXPECT_EQ(moments.weight, 4.5f);
  EXPECT_EQ(moments.first, 4.5f);
  EXPECT_EQ(moments.second, 3.0f + 4.5f);
}

}  // namespace
}  // namespace frugal::grid
