#include "passes/prune/share.h"

#include <gmock/gmock.h>

#include "passes/fake_context.h"

namespace frugal::passes {
namespace {

absl::Status check(FakeCheckContext& context, double share, int64_t keep) {
  return check_share(context, "ffn", share, 100, keep, "neurons",
                     "multiple_of = 32 allows 64 or 96");
}

TEST(Share, WhatIsKeptAsAskedIsTaken) {
  FakeCheckContext context;
  FRUGAL_EXPECT_OK(check(context, 0.5, 50));
  FRUGAL_EXPECT_OK(check(context, 0.505, 50));  // half a neuron is rounding
  FRUGAL_EXPECT_OK(check(context, 0.505, 51));
  EXPECT_TRUE(context.warnings.empty());
}

TEST(Share, AnotherNumberIsSaid) {
  FakeCheckContext context;
  FRUGAL_EXPECT_OK(check(context, 0.75, 64));
  EXPECT_THAT(context.warnings,
              testing::ElementsAre("prune: ffn = 0.75 asks to keep 75 of 100 neurons; 64 are kept: "
                                   "multiple_of = 32 allows 64 or 96"));
}

TEST(Share, RemovingNothingIsRefused) {
  FakeCheckContext context;
  FRUGAL_EXPECT_ERROR(check(context, 0.99, 100), absl::StatusCode::kInvalidArgument,
                      "prune: ffn = 0.99 asks to keep 99 of 100 neurons, which comes out as all of "
                      "them, so that nothing would be removed: multiple_of = 32 allows 64 or 96");
  FRUGAL_EXPECT_ERROR(check(context, 1, 100), absl::StatusCode::kInvalidArgument,
                      "keep 100 of 100");
  EXPECT_TRUE(context.warnings.empty());
}

TEST(Share, PossibleNumbersAreMultiplesUpToAll) {
  EXPECT_EQ(possible_multiples(100, 64, 32),
            "multiple_of = 32 allows 64 or 96; lower multiple_of, or take another share");
  EXPECT_EQ(possible_multiples(100, 96, 32),
            "multiple_of = 32 allows 96 or 100; lower multiple_of, or take another share");
  EXPECT_EQ(possible_multiples(100, 100, 32),
            "multiple_of = 32 allows 96 or 100; lower multiple_of, or take another share");
  EXPECT_EQ(possible_multiples(96, 96, 32),  // all of them are a multiple: the next one below
            "multiple_of = 32 allows 64 or 96; lower multiple_of, or take another share");
  EXPECT_EQ(possible_multiples(20, 20, 32),
            "multiple_of = 32 allows 20; lower multiple_of, or take another share");
  EXPECT_EQ(possible_multiples(100, 60, 1), "any number up to 100 can stay");
}

}  // namespace
}  // namespace frugal::passes
