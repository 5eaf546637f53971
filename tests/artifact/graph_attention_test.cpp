#include "artifact/onnx/graph_attention.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "support/shared_data.h"
#include "support/toy_model.h"

namespace frugal::artifact {
namespace {

using testing::Contains;
using testing::Not;

format::ModelInfo toy() {
  format::ModelInfo info;
  info.config = test::toy_config({.layers = 2});
  return info;
}

// Both layers' attention.
struct Made {
  explicit Made(const format::ModelInfo& info, bool standard = true)
      : nodes(info), rotary(nodes), attention(nodes, rotary, {.standard_operators = standard}) {
    attention.add_mask();
    rotary.add();
    for (int64_t layer = 0; layer < 2; ++layer) {
      const std::string stem = std::to_string(layer);
      attention.add(layer, {stem + ".q", stem + ".k", stem + ".v"}, stem + ".out");
    }
  }
  std::vector<format::OnnxNode> of(std::string_view op) const {
    std::vector<format::OnnxNode> found;
    for (const format::OnnxNode& node : nodes.graph.model.nodes) {
      if (node.op_type == op) found.push_back(node);
    }
    return found;
  }
  std::vector<std::string> domains() const {
    std::vector<std::string> found;
    for (const format::OnnxNode& node : nodes.graph.model.nodes) found.push_back(node.domain);
    return found;
  }

  GraphNodes nodes;
  GraphRotary rotary;
  GraphAttention attention;
};

bool has_attribute(const format::OnnxNode& node, std::string_view name) {
  return std::ranges::any_of(node.attributes,
                             [&](const auto& attribute) { return attribute.name == name; });
}

TEST(GraphAttention, ContribTurnsAndMasksInsideOneNode) {
  const format::ModelInfo info = toy();
  const Made made(info, /*standard=*/false);
  EXPECT_EQ(made.of("GroupQueryAttention").size(), 2u);
  EXPECT_TRUE(made.of("RotaryEmbedding").empty());
  EXPECT_TRUE(made.of("CumSum").empty());
}

TEST(GraphAttention, StandardOperatorsShareOneMask) {
  const format::ModelInfo info = toy();
  const Made made(info);
  EXPECT_THAT(made.domains(), Not(Contains(kContribDomain)));
  ASSERT_EQ(made.of("Attention").size(), 2u);
  EXPECT_EQ(made.of("RotaryEmbedding").size(), 4u);  // queries and keys
  EXPECT_EQ(made.of("LessOrEqual").size(), 1u);
  for (const format::OnnxNode& node : made.of("Attention")) {
    EXPECT_EQ(node.inputs[3], "visible");
    EXPECT_FALSE(has_attribute(node, "is_causal"));  // the mask says it
    EXPECT_FALSE(has_attribute(node, "softcap"));
  }
  EXPECT_THAT(made.of("Attention")[1].outputs,
              testing::ElementsAre("1.out", "present.1.key", "present.1.value"));
  for (const format::OnnxNode& node : made.of("RotaryEmbedding"))
    EXPECT_FALSE(has_attribute(node, "rotary_embedding_dim"));
}

TEST(GraphAttention, EveryWindowHasOneMask) {
  format::ModelInfo info = toy();
  info.config.layers[1].attention.window = 8;
  const Made mixed(info);
  EXPECT_EQ(mixed.of("Attention")[0].inputs[3], "visible");
  EXPECT_EQ(mixed.of("Attention")[1].inputs[3], "visible.8");
  info.config.layers[0].attention.window = 8;
  const Made same(info);
  EXPECT_EQ(same.of("Less").size(), 1u);
  EXPECT_EQ(same.of("Attention")[0].inputs[3], "visible.8");
  info.config.layers[0].attention.window = 4;
  const Made two(info);
  EXPECT_EQ(two.of("Less").size(), 2u);
  EXPECT_EQ(two.of("Sub").size(), 2u);  // tokens ahead; distances, once
}

// Heads that turn in part say how far; layers that do not turn take what they get.
TEST(GraphAttention, HeadsTurnAsFarAsTheModelSays) {
  format::ModelInfo info = toy();
  info.config.layers[0].attention.rope.channels = 4;
  info.config.layers[1].attention.rope.channels = 0;
  const Made made(info);
  const std::vector<format::OnnxNode> turned = made.of("RotaryEmbedding");
  ASSERT_EQ(turned.size(), 2u);
  EXPECT_TRUE(has_attribute(turned[0], "rotary_embedding_dim"));
  EXPECT_EQ(made.of("Attention")[1].inputs[0], "1.q");
}

// The cap comes before the mask, whatever the release of the operator.
TEST(GraphAttention, CapsAreSpelledOut) {
  format::ModelInfo info = toy();
  for (architecture::Layer& layer : info.config.layers) layer.attention.score_cap = 30.0;
  const Made made(info);
  EXPECT_TRUE(made.of("Attention").empty());
  ASSERT_EQ(made.of("Tanh").size(), 2u);
  ASSERT_EQ(made.of("Where").size(), 2u);
  EXPECT_EQ(made.of("Where")[0].inputs,
            (std::vector<std::string>{"0.out.visible", "0.out.scores.capped", "lowest"}));
  EXPECT_EQ(made.of("Softmax").size(), 2u);
  EXPECT_EQ(made.of("Concat").size(), 4u);  // both caches of both layers
  EXPECT_EQ(made.of("Concat")[0].outputs.front(), "present.0.key");
}

}  // namespace
}  // namespace frugal::artifact
