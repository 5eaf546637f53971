#include <gmock/gmock.h>

#include "passes/fake_context.h"
#include "passes/prune/options.h"
#include "support/toy_model.h"

namespace frugal::passes {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
using layerwise::PatternScope;
using layerwise::StructureScore;

TEST(PruneOptions, OneThingIsRemovedAtATime) {
  PruneOptions mask, overrides, ffn, heads, channels, layers, indices;
  mask.pattern = "2:4";
  overrides.overrides.entries = {{"*down*", "50%"}};
  ffn.ffn = 0.5;
  heads.heads = 0.5;
  channels.channels = 0.5;
  layers.drop_layers = 1;
  indices.drop_layer_indices = {0};
  EXPECT_EQ(mask.kind().value(), PruneKind::kMask);
  EXPECT_EQ(overrides.kind().value(), PruneKind::kMask);
  EXPECT_EQ(ffn.kind().value(), PruneKind::kWidth);
  EXPECT_EQ(heads.kind().value(), PruneKind::kWidth);
  EXPECT_EQ(channels.kind().value(), PruneKind::kChannels);
  EXPECT_EQ(layers.kind().value(), PruneKind::kDepth);
  EXPECT_EQ(indices.kind().value(), PruneKind::kDepth);
  ffn.heads = 0.5;  // neurons and heads go together
  EXPECT_EQ(ffn.kind().value(), PruneKind::kWidth);
  for (PruneOptions* const options : {&mask, &ffn, &layers}) {
    options->channels = 0.5;
    FRUGAL_EXPECT_ERROR(options->kind(), kInvalid, "write a step for each, layers first");
  }
  indices.drop_layers = 1;
  FRUGAL_EXPECT_ERROR(indices.kind(), kInvalid, "drop_layers or drop_layer_indices, not both");
  FRUGAL_EXPECT_ERROR(PruneOptions{}.kind(), kInvalid, "nothing to remove; set pattern");
}

TEST(PruneOptions, ScoresAndScopesAreNames) {
  PruneOptions options;
  EXPECT_EQ(options.structure_score(PruneKind::kWidth), StructureScore::kObs);
  EXPECT_EQ(options.structure_score(PruneKind::kChannels), StructureScore::kActivation);
  for (const auto& [name, score] : {std::pair{"obs", StructureScore::kObs},
                                    {"obs_greedy", StructureScore::kObsGreedy},
                                    {"activation", StructureScore::kActivation},
                                    {"magnitude", StructureScore::kMagnitude}}) {
    options.score = name;
    EXPECT_EQ(options.structure_score(PruneKind::kWidth), score) << name;
    EXPECT_EQ(options.structure_score(PruneKind::kChannels), score) << name;
  }
  for (const auto& [name, scope] : {std::pair{"row", PatternScope::kRow},
                                    {"matrix", PatternScope::kMatrix},
                                    {"block", PatternScope::kBlock}}) {
    options.scope = name;
    EXPECT_EQ(options.pattern_scope(), scope) << name;
  }
}

TEST(PruneOptions, WhatFollowsFromOthers) {
  PruneOptions options;
  EXPECT_TRUE(options.refits());  // mask_refit
  options.solver = "wanda";
  EXPECT_FALSE(options.refits());
  options.refit = true;
  EXPECT_TRUE(options.refits());
  EXPECT_EQ(options.cut_damping(), 0.01);
  options.damping = 0.5;
  EXPECT_EQ(options.cut_damping(), 0.5);
}

TEST(PruneOptions, SharedHeadsLoseQueriesUnlessToldOtherwise) {
  architecture::ModelConfig shared = test::toy_config({}), own = shared;  // 4 heads, 2 of them
  for (auto& layer : own.layers) layer.attention.key_value_heads = layer.attention.heads;
  PruneOptions options;
  EXPECT_FALSE(options.whole_key_value_heads(shared));
  EXPECT_TRUE(options.whole_key_value_heads(own));
  options.heads_by = "group";
  EXPECT_TRUE(options.whole_key_value_heads(shared));
  options.heads_by = "query";
  EXPECT_FALSE(options.whole_key_value_heads(own));
}

// Every field that a user gives arrives; what the visitor shows is all that can be given.
TEST(PruneOptions, AreReadIntoTheirFields) {
  PruneOptions options;
  OptionSetter setter({{"pattern", "50%"},
                       {"solver", "sparsegpt"},
                       {"mask_score", "wanda"},
                       {"refit", true},
                       {"scope", "block"},
                       {"overrides", {{"*down*", "none"}}},
                       {"mask_block", 64},
                       {"refit_steps", 9},
                       {"ffn", 0.5},
                       {"heads", 0.25},
                       {"heads_by", "group"},
                       {"channels", 0.75},
                       {"multiple_of", 8},
                       {"score", "magnitude"},
                       {"compensate", false},
                       {"drop_layers", 2},
                       {"drop_layer_indices", {1, 2}},
                       {"protect_first", 3},
                       {"protect_last", 4},
                       {"alpha", 0.5},
                       {"beta", 0.25},
                       {"damping", 0.125},
                       {"calibration", "text"},
                       {"windows", 5},
                       {"min_tokens", 6}});
  visit_prune_options(setter, options);
  EXPECT_EQ(setter.left(), base::Json::object());
  EXPECT_EQ(options.pattern, "50%");
  EXPECT_EQ(options.solver, "sparsegpt");
  EXPECT_EQ(options.mask_score, "wanda");
  EXPECT_TRUE(options.refit);
  EXPECT_EQ(options.scope, "block");
  EXPECT_THAT(options.overrides.entries, testing::ElementsAre(testing::Pair("*down*", "none")));
  EXPECT_EQ(options.mask_block, 64);
  EXPECT_EQ(options.refit_steps, 9);
  EXPECT_EQ(options.ffn, 0.5);
  EXPECT_EQ(options.heads, 0.25);
  EXPECT_EQ(options.heads_by, "group");
  EXPECT_EQ(options.channels, 0.75);
  EXPECT_EQ(options.multiple_of, 8);
  EXPECT_EQ(options.score, "magnitude");
  EXPECT_FALSE(options.compensate);
  EXPECT_EQ(options.drop_layers, 2);
  EXPECT_THAT(options.drop_layer_indices, testing::ElementsAre(1, 2));
  EXPECT_EQ(options.protect_first, 3);
  EXPECT_EQ(options.protect_last, 4);
  EXPECT_EQ(options.alpha, 0.5);
  EXPECT_EQ(options.beta, 0.25);
  EXPECT_EQ(options.damping, 0.125);
  EXPECT_EQ(options.calibration.name, "text");
  EXPECT_EQ(options.windows.windows, 5);
  EXPECT_EQ(options.gate.min_tokens, 6);
}

}  // namespace
}  // namespace frugal::passes
