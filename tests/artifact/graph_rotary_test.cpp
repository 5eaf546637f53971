#include "artifact/onnx/graph_rotary.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "support/shared_data.h"
#include "support/toy_model.h"

namespace frugal::artifact {
namespace {

using architecture::RopeScaling;

int64_t count(const GraphNodes& nodes, std::string_view op) {
  return std::count_if(nodes.graph.model.nodes.begin(), nodes.graph.model.nodes.end(),
                       [&](const format::OnnxNode& node) { return node.op_type == op; });
}

format::ModelInfo toy() {
  format::ModelInfo info;
  info.config = test::toy_config({.layers = 2});
  return info;
}

TEST(GraphRotary, LayersOfOneKindShareTables) {
  const format::ModelInfo info = toy();
  GraphNodes nodes(info);
  GraphRotary rotary(nodes);
  rotary.add();
  EXPECT_EQ(rotary.of(0).cosine, rotary.of(1).cosine);
  EXPECT_EQ(nodes.graph.sources.size(), 2u);
  EXPECT_TRUE(nodes.graph.model.nodes.empty());
}

TEST(GraphRotary, ALayerMayHaveNone) {
  format::ModelInfo info = toy();
  info.config.layers[1].attention.rope.channels = 0;
  GraphNodes nodes(info);
  GraphRotary rotary(nodes);
  rotary.add();
  EXPECT_FALSE(rotary.of(0).cosine.empty());
  EXPECT_TRUE(rotary.of(1).cosine.empty());
  EXPECT_EQ(nodes.graph.sources.size(), 2u);
}

TEST(GraphRotary, AShareOfAHeadHasNarrowTables) {
  format::ModelInfo info = toy();
  const int64_t size = info.config.layers[0].attention.head_size;
  for (architecture::Layer& layer : info.config.layers) layer.attention.rope.channels = size / 2;
  GraphNodes nodes(info);
  GraphRotary rotary(nodes);
  rotary.add();
  EXPECT_THAT(nodes.graph.model.initializers[0].dims,
              testing::ElementsAre(info.config.context_length, size / 4));
}

TEST(GraphRotary, LongRopeIsChosenByTheTokensThereAre) {
  format::ModelInfo info = toy();
  const auto pairs = static_cast<size_t>(info.config.layers[0].attention.head_size / 2);
  for (architecture::Layer& layer : info.config.layers) {
    layer.attention.rope.scaling = RopeScaling{.kind = RopeScaling::Kind::kLongRope,
                                               .original_max_position_embeddings = 16,
                                               .short_factors = std::vector<double>(pairs, 1.0),
                                               .long_factors = std::vector<double>(pairs, 2.0),
                                               .attention_factor = 1.5};
  }
  GraphNodes nodes(info);
  GraphRotary rotary(nodes);
  rotary.add();
  EXPECT_EQ(count(nodes, "Where"), 1);
  EXPECT_EQ(count(nodes, "Mul"), 3);  // positions by frequencies, cosines and sines by the factor
  std::vector<OnnxContent> contents;
  for (const OnnxSource& source : nodes.graph.sources) contents.push_back(source.content);
  EXPECT_THAT(contents,
              testing::ElementsAre(OnnxContent::kFrequencies, OnnxContent::kFrequenciesBeyond));
}

}  // namespace
}  // namespace frugal::artifact
