#include "artifact/onnx/graph_nodes.h"

#include <gtest/gtest.h>

#include "support/shared_data.h"
#include "support/toy_model.h"

namespace frugal::artifact {
namespace {

using architecture::Role;

format::ModelInfo toy(bool one_plus = false) {
  format::ModelInfo info;
  info.config = test::toy_config({.layers = 2});
  if (one_plus) info.config.layers[1].before_attention->one_plus = true;
  return info;
}

TEST(GraphNodes, InitializersAndTheirSourcesGoTogether) {
  const format::ModelInfo info = toy();
  GraphNodes nodes(info);
  const std::string name = nodes.name_of(Role::kQuery, 1);
  EXPECT_EQ(name, "model.layers.1.self_attn.q_proj.weight");
  ASSERT_TRUE(nodes.has(name));
  nodes.weight(name, OnnxContent::kValues);
  nodes.constant<int64_t>("two", {2}, {1, 2});
  ASSERT_EQ(nodes.graph.model.initializers.size(), 2u);
  ASSERT_EQ(nodes.graph.sources.size(), 1u);  // constants carry their content
  EXPECT_EQ(nodes.graph.sources[0].initializer, name);
  EXPECT_EQ(nodes.graph.model.initializers[0].dims, nodes.shape(name));
  EXPECT_TRUE(nodes.graph.model.initializers[1].content.has_value());
}

TEST(GraphNodes, GainsAreWhatOperatorsMultiplyBy) {
  const format::ModelInfo info = toy(/*one_plus=*/true);
  GraphNodes nodes(info);
  nodes.gain(Role::kNormBeforeAttention, 0);
  nodes.gain(Role::kNormBeforeAttention, 1);
  EXPECT_EQ(nodes.graph.sources[0].offset, 0.0);
  EXPECT_EQ(nodes.graph.sources[1].offset, 1.0);
  EXPECT_EQ(nodes.graph.sources[1].content, OnnxContent::kGains);
}

TEST(GraphNodes, ZeroIsMadeOnce) {
  const format::ModelInfo info = toy();
  GraphNodes nodes(info);
  EXPECT_EQ(nodes.zero(), "zero");
  EXPECT_EQ(nodes.zero(), "zero");
  EXPECT_EQ(nodes.graph.model.initializers.size(), 1u);
}

TEST(GraphNodes, UnknownWeightsAreNone) {
  const format::ModelInfo info = toy();
  const GraphNodes nodes(info);
  EXPECT_FALSE(nodes.has("model.layers.9.mlp.up_proj.weight"));
  EXPECT_THROW(nodes.shape("nothing"), std::out_of_range);
}

}  // namespace
}  // namespace frugal::artifact
