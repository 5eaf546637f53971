#include "artifact/onnx/onnx_graph.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "support/shared_data.h"
#include "support/toy_model.h"

namespace frugal::artifact {
namespace {

format::ModelInfo toy(int64_t context_length) {
  format::ModelInfo info;
  info.name = "toy";
  info.config = test::toy_config({.layers = 2});
  info.config.context_length = context_length;
  info.has_tokenizer = true;
  return info;
}

std::set<std::string> initializers(const OnnxGraph& graph) {
  std::set<std::string> names;
  for (const format::OnnxInitializer& initializer : graph.model.initializers)
    names.insert(initializer.name);
  return names;
}

int64_t nodes(const OnnxGraph& graph, std::string_view op) {
  return std::count_if(graph.model.nodes.begin(), graph.model.nodes.end(),
                       [&](const format::OnnxNode& node) { return node.op_type == op; });
}

TEST(OnnxGraph, ShortContextsCarryOnePairOfRotaryTables) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const OnnxGraph graph, build_onnx_graph(toy(64), {}));
  EXPECT_TRUE(initializers(graph).contains("cosine_cache"));
  EXPECT_EQ(nodes(graph, "Range"), 0);
  EXPECT_EQ(nodes(graph, "GroupQueryAttention"), 2);
}

TEST(OnnxGraph, LongContextsComputeThem) {
  // Heads of 8 channels: 32 bytes a position.
  constexpr int64_t kLongest = kLargestRotaryBytes / 32;
  ASSERT_EQ(rotary_bytes(toy(kLongest).config), kLargestRotaryBytes);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const OnnxGraph last, build_onnx_graph(toy(kLongest), {}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const OnnxGraph next, build_onnx_graph(toy(kLongest + 1), {}));
  EXPECT_TRUE(initializers(last).contains("cosine_cache"));
  EXPECT_FALSE(initializers(next).contains("cosine_cache"));
  EXPECT_EQ(nodes(next, "Range"), 1);
  EXPECT_EQ(nodes(next, "Cos"), 1);  // one pair for all layers
  EXPECT_EQ(nodes(next, "Sin"), 1);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const int64_t large, format::OnnxWriter::size_bytes(last.model));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const int64_t small, format::OnnxWriter::size_bytes(next.model));
  EXPECT_GT(large, kLargestRotaryBytes);
  // What is left of the tables is a few nodes and the frequencies.
  EXPECT_LT(small, large - kLargestRotaryBytes + kLargestRotaryBytes / 1000);
}

format::ModelInfo gpt2() {
  format::ModelInfo info = toy(64);
  info.config = test::toy_gpt2_config();
  return info;
}

// Every norm is the standard operator, places come from the mask, nothing turns or is gated.
TEST(OnnxGraph, Gpt2HasLayerNormsAndPlaces) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const OnnxGraph graph, build_onnx_graph(gpt2(), {}));
  EXPECT_EQ(nodes(graph, "LayerNormalization"), 2 * 2 + 1);
  EXPECT_EQ(nodes(graph, "SkipSimplifiedLayerNormalization"), 0);
  EXPECT_EQ(nodes(graph, "Gelu"), 2);
  EXPECT_EQ(nodes(graph, "Mul"), 0);
  EXPECT_EQ(nodes(graph, "CumSum"), 1);
  EXPECT_EQ(nodes(graph, "MatMul"), 2 * 6 + 1);
  const std::set<std::string> names = initializers(graph);
  EXPECT_TRUE(names.contains("transformer.wpe.weight"));
  EXPECT_TRUE(names.contains("transformer.ln_f.bias"));
  EXPECT_FALSE(names.contains("cosine_cache"));
}

// With standard operators no node is of another domain, whatever the family, and the interface is
// the same.
TEST(OnnxGraph, StandardOperatorsAreOfOneDomain) {
  for (const format::ModelInfo& model : {toy(64), toy(kLargestRotaryBytes), gpt2()}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const OnnxGraph plain, build_onnx_graph(model, {}));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const OnnxGraph standard,
                                build_onnx_graph(model, {.standard_operators = true}));
    FRUGAL_EXPECT_OK(format::OnnxWriter::size_bytes(standard.model).status());  // a whole graph
    EXPECT_EQ(standard.model.ir_version, 11);
    ASSERT_EQ(standard.model.opsets.size(), 1u);
    EXPECT_EQ(standard.model.opsets[0], std::pair(std::string(), int64_t{23}));
    for (const format::OnnxNode& node : standard.model.nodes) EXPECT_EQ(node.domain, "");
    EXPECT_EQ(nodes(standard, "Attention"), 2);
    EXPECT_EQ(nodes(standard, "Pow"), 0);
    const auto same = [](const std::vector<format::OnnxValue>& one,
                         const std::vector<format::OnnxValue>& other) {
      return std::ranges::equal(one, other, [](const auto& a, const auto& b) {
        return a.name == b.name && a.type == b.type && a.dims == b.dims;
      });
    };
    EXPECT_TRUE(same(plain.model.inputs, standard.model.inputs));
    EXPECT_TRUE(same(plain.model.outputs, standard.model.outputs));
  }
}

TEST(OnnxGraph, StandardOperatorsTurnAnyShareOfAHead) {
  format::ModelInfo model = toy(64);
  for (architecture::Layer& layer : model.config.layers) layer.attention.rope.channels = 4;
  FRUGAL_EXPECT_ERROR(build_onnx_graph(model, {}), absl::StatusCode::kUnimplemented,
                      "operators: standard");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const OnnxGraph graph,
                              build_onnx_graph(model, {.standard_operators = true}));
  EXPECT_EQ(nodes(graph, "RMSNormalization"), 2 * 2 + 1);
  EXPECT_EQ(nodes(graph, "RotaryEmbedding"), 2 * 2);
}

// Gemma 3: windows turn by another theta.
TEST(OnnxGraph, EveryRotationHasItsPair) {
  format::ModelInfo model = toy(64);
  model.config.layers[1].attention.rope.theta = 1e6;
  EXPECT_EQ(rotary_bytes(model.config), 2 * rotary_bytes(toy(64).config));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const OnnxGraph stored, build_onnx_graph(model, {}));
  EXPECT_TRUE(initializers(stored).contains("cosine_cache"));
  EXPECT_TRUE(initializers(stored).contains("sine_cache.1"));
  model.config.context_length = kLargestRotaryBytes / 32;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const OnnxGraph computed, build_onnx_graph(model, {}));
  EXPECT_TRUE(initializers(computed).contains("rotary_frequencies"));
  EXPECT_TRUE(initializers(computed).contains("rotary_frequencies.1"));
  EXPECT_EQ(nodes(computed, "Range"), 1);
  EXPECT_EQ(nodes(computed, "Cos"), 2);
  EXPECT_EQ(computed.sources[1].layer, 1);
}

}  // namespace
}  // namespace frugal::artifact
