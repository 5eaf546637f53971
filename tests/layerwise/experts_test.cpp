#include "layerwise/pruning/experts.h"

#include <gmock/gmock.h>

#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

// Two tokens, each through two of three experts: token 0 through 0 and 2, token 1 through 2 and 1.
model::Routing routing() {
  model::Routing routing;
  routing.weights = at::tensor({0.75, 0.25, 0.5, 0.5}, at::kFloat).view({2, 2});
  routing.tokens = at::tensor({0, 1, 0, 1}, at::kLong);  // expert 0: 0; 1: 1; 2: 0, 1
  routing.places = at::tensor({0, 2, 3, 1}, at::kLong);
  routing.ends = {1, 2, 4};
  routing.outputs = {at::tensor({3.0, 4.0}, at::kFloat).view({1, 2}),
                     at::tensor({0.0, 2.0}, at::kFloat).view({1, 2}),
                     at::tensor({6.0, 8.0, 0.0, 1.0}, at::kFloat).view({2, 2})};
  return routing;
}

TEST(ExpertScores, AreMeansOfWeightTimesSize) {
  ExpertScores scores;
  scores.add(routing());
  // 0.75 * 5; 0.5 * 2; (0.25 * 10 + 0.5 * 1) / 2.
  EXPECT_THAT(scores.means(), testing::ElementsAre(3.75, 1.0, 1.5));
  EXPECT_THAT(scores.tokens(), testing::ElementsAre(1, 1, 2));
  scores.add(routing());
  EXPECT_THAT(scores.means(), testing::ElementsAre(3.75, 1.0, 1.5));
  EXPECT_THAT(scores.tokens(), testing::ElementsAre(2, 2, 4));
}

TEST(ExpertScores, AnExpertWithoutTokensScoresNothing) {
  model::Routing empty = routing();
  empty.ends = {1, 2, 4, 4};
  empty.outputs.push_back(at::empty({0, 2}, at::kFloat));
  ExpertScores scores;
  scores.add(empty);
  EXPECT_EQ(scores.means().at(3), 0.0);
  EXPECT_EQ(scores.tokens().at(3), 0);
}

TEST(ExpertsToKeep, AreTheHighestInTheirOrder) {
  EXPECT_THAT(experts_to_keep({0.5, 3, 1, 2}, 2), testing::ElementsAre(1, 3));
  EXPECT_THAT(experts_to_keep({1, 1, 1}, 2),
              testing::ElementsAre(0, 1));  // the first of equal ones
  EXPECT_THAT(experts_to_keep({1, 2}, 5), testing::ElementsAre(0, 1));
}

}  // namespace
}  // namespace frugal::layerwise
