#include "passes/quantize/parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/shared_data.h"
#include "support/toy_model.h"

namespace frugal::passes {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto invalid = absl::StatusCode::kInvalidArgument;

// Two layers of 64 channels, feed-forward 256, vocabulary 100, 4 heads of 16 with 2 of keys and
// values.
architecture::ModelConfig small(bool tied) {
  return test::toy_config(
      {.layers = 2, .width = 64, .neurons = 256, .vocabulary = 100, .tied = tied});
}

std::vector<PlannedTensor> planned(const architecture::ModelConfig& config,
                                   const GridChoice& choice) {
  auto plan = plan_grids(config, choice);
  FRUGAL_EXPECT_OK(plan.status());
  return *std::move(plan);
}

// 4.5 bits a weight of q4_0, 8.5 of q8_0 (blocks of 32 with an fp16 scale), 2 bytes of what is
// kept.
TEST(Parts, OfATiedModelInLlamaCppsQ4_0) {
  const architecture::ModelConfig config = small(true);
  const auto parts = parts_of(planned(config, {"q4_0", "auto", "auto"}), config, 2);
  ASSERT_EQ(parts.size(), 4u);
  EXPECT_EQ(parts[0].name, "embedding (also the head)");
  EXPECT_THAT(parts[0].grids, ElementsAre("q8_0"));  // rows of 64 fill no block of q6_k
  EXPECT_EQ(parts[0].bytes, 100 * 64 * 34 / 32);
  EXPECT_EQ(parts[1].name, "attention");
  EXPECT_EQ(parts[1].weights, 2 * (2 * 64 * 64 + 2 * 32 * 64));
  EXPECT_EQ(parts[1].bytes, parts[1].weights * 18 / 32);
  EXPECT_EQ(parts[2].bytes, 2 * 3 * 64 * 256 * 18 / 32);
  EXPECT_THAT(parts[3].grids, ElementsAre("kept"));
  EXPECT_EQ(parts[3].bytes, 5 * 64 * 2);  // norms
  EXPECT_THAT(parts_text(parts), HasSubstr("feed-forward 54.0 KiB (q4_0)"));
}

TEST(Parts, AHeadOfItsOwnHasALineOfItsOwn) {
  const architecture::ModelConfig config = small(false);
  const auto parts = parts_of(planned(config, {"q4_0", "auto", "auto"}), config, 2);
  ASSERT_EQ(parts.size(), 5u);
  EXPECT_EQ(parts[0].name, "embedding");
  EXPECT_THAT(parts[0].grids, ElementsAre("q4_0"));
  EXPECT_EQ(parts[4].name, "head");
  EXPECT_THAT(parts[4].grids, ElementsAre("q8_0"));
}

TEST(Parts, BesideOtherGridsTheEmbeddingIsKept) {
  const architecture::ModelConfig config = small(true);
  for (const char* grid : {"int4:row", "nf4:g64", "fp8:row"}) {
    const auto parts = parts_of(planned(config, {grid, "auto", "auto"}), config, 4);
    EXPECT_THAT(parts[0].grids, ElementsAre("kept")) << grid;
    EXPECT_EQ(parts[0].bytes, 100 * 64 * 4) << grid;
  }
}

TEST(Parts, BesideIntegersInGroupsTheEmbeddingHasEightBits) {
  const architecture::ModelConfig config = small(true);
  for (const char* grid : {"int4", "int3:g32:asym", "int8:g32"}) {
    const auto parts = parts_of(planned(config, {grid, "auto", "auto"}), config, 4);
    EXPECT_THAT(parts[0].grids, ElementsAre("int8:g32")) << grid;
  }
}

TEST(Parts, TypesThatStandForOthersAreNamed) {
  const architecture::ModelConfig config = small(true);
  const auto plan = planned(config, {"q4_k", "auto", "auto"});
  // Of each layer six matrices have rows of 64, one has rows of 256.
  EXPECT_THAT(fallback_texts(plan),
              ElementsAre("rows of 64 weights do not fill q4_k's blocks of 256: 12 matrices become "
                          "q5_0, as llama-quantize has it",
                          "rows of 64 weights do not fill q6_k's blocks of 256: 1 matrix becomes "
                          "q8_0, as llama-quantize has it"));
  EXPECT_THAT(fallback_texts(planned(config, {"q4_0", "keep", "auto"})), IsEmpty());
}

// NVFP4's are not llama-quantize's; and nothing stands for a type that there is not.
TEST(Parts, OnlyTypesThatThereAreAreStoodInFor) {
  const architecture::ModelConfig narrow = test::toy_config({.width = 32, .neurons = 96});
  EXPECT_THAT(fallback_texts(planned(narrow, {"nvfp4:e-3", "keep", "keep"})),
              Contains(AllOf(HasSubstr("nvfp4:e-3's blocks of 64"), EndsWith("become iq4_nl"))));
  FRUGAL_EXPECT_ERROR(plan_grids(narrow, {"nvfp4:e-333", "keep", "keep"}), invalid,
                      "k from -64 to 64, found ':e-333'");
}

TEST(Parts, WhatIsNamedIsTakenAtItsWord) {
  const architecture::ModelConfig config = small(true);
  FRUGAL_EXPECT_ERROR(plan_grids(config, {"q4_0", "q6_k", "auto"}), invalid,
                      "whose blocks have 256");
  FRUGAL_EXPECT_ERROR(plan_grids(config, {"q4_0", "auto", "auto", {{"*.q_proj.*", "q4_k"}}}),
                      invalid, "whose blocks have 256");
  FRUGAL_EXPECT_ERROR(
      plan_grids(config, {.grid = "q4_k", .embeddings = "keep", .head = "auto", .strict = true}),
      invalid, "whose blocks have 256");
}

}  // namespace
}  // namespace frugal::passes
