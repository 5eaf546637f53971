#include "passes/common/layer_kinds.h"

#include <gtest/gtest.h>

#include "support/shared_data.h"

namespace frugal::passes {
namespace {

architecture::ModelConfig plain() {
  architecture::ModelConfig config;
  config.architecture = "SomeForCausalLM";
  config.layers.resize(3);
  return config;
}

TEST(LayerKinds, ExpertsAreNamedByLayer) {
  architecture::ModelConfig config = plain();
  FRUGAL_EXPECT_OK(refuse_experts(config, "smooth", "leave it out"));
  config.layers[2].experts = architecture::Experts{.count = 8, .per_token = 2};
  FRUGAL_EXPECT_ERROR(refuse_experts(config, "smooth", "leave it out"),
                      absl::StatusCode::kUnimplemented,
                      "smooth does not know experts, and layer 2 of this SomeForCausalLM has 8; "
                      "leave it out");
}

TEST(LayerKinds, TwoKindsOfFeedForwardsAreNamedByLayer) {
  architecture::ModelConfig config = plain();
  for (architecture::Layer& layer : config.layers) layer.feed_forward.width = 64;
  FRUGAL_EXPECT_OK(refuse_two_feed_forwards(config, "prune: ffn"));
  for (architecture::Layer& layer : config.layers)
    layer.experts = architecture::Experts{.count = 8, .per_token = 2};
  FRUGAL_EXPECT_OK(refuse_two_feed_forwards(config, "prune: ffn"));
  config.layers[1].experts.reset();
  FRUGAL_EXPECT_ERROR(
      refuse_two_feed_forwards(config, "prune: ffn"), absl::StatusCode::kUnimplemented,
      "layer 0 of this SomeForCausalLM has 64 neurons in each of 8 experts, layer 1 "
      "64 neurons");
}

TEST(LayerKinds, NormsOverHeadsAreNamedByLayer) {
  architecture::ModelConfig config = plain();
  config.layers[0].attention.query_key_norm = architecture::Norm{};
  FRUGAL_EXPECT_OK(refuse_norms_over_heads(config, "prune: heads"));  // each head by itself
  config.layers[1].attention.norm_spans_heads = true;                 // of no norm
  FRUGAL_EXPECT_OK(refuse_norms_over_heads(config, "prune: heads"));
  config.layers[0].attention.norm_spans_heads = true;
  FRUGAL_EXPECT_ERROR(refuse_norms_over_heads(config, "prune: heads"),
                      absl::StatusCode::kUnimplemented, "prune: heads: layer 0");
}

TEST(LayerKinds, CenteredNormsAndHeadsWithoutASizeAreRefused) {
  architecture::ModelConfig config = plain();
  FRUGAL_EXPECT_OK(refuse_centered_norms(config, "rotate", "set residual: false"));
  FRUGAL_EXPECT_OK(refuse_heads_that_fill_the_stream(config, "prune: heads"));
  config.final_norm.centered = true;
  config.architecture = "GPT2LMHeadModel";
  FRUGAL_EXPECT_ERROR(refuse_centered_norms(config, "rotate", "set residual: false"),
                      absl::StatusCode::kUnimplemented,
                      "rotate: the norms of this GPT2LMHeadModel take the mean");
  FRUGAL_EXPECT_ERROR(refuse_heads_that_fill_the_stream(config, "prune: heads"),
                      absl::StatusCode::kUnimplemented,
                      "prune: heads: the config of a GPT2LMHeadModel has no head size");
}

}  // namespace
}  // namespace frugal::passes
