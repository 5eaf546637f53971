#include "artifact/onnx/graph_products.h"

#include <gmock/gmock.h>

#include "support/shared_data.h"
#include "support/toy_model.h"

namespace frugal::artifact {
namespace {

using architecture::Role;

std::vector<std::string> operators(const GraphNodes& nodes) {
  std::vector<std::string> names;
  for (const format::OnnxNode& node : nodes.graph.model.nodes) names.push_back(node.op_type);
  return names;
}

format::ModelInfo toy() {
  format::ModelInfo info;
  info.config = test::toy_config({.layers = 1});
  return info;
}

// A graph of products with one weight of the toy on a grid.
struct OneOnGrid {
  OneOnGrid(Role role, int64_t layer, const std::string& grid, const OnnxOptions& options = {})
      : nodes(info), weight(nodes.name_of(role, layer)), products(nodes, options) {
    info.grids[weight] = grid;
  }

  format::ModelInfo info = toy();
  GraphNodes nodes;
  const std::string weight;
  GraphProducts products;
};

TEST(GraphProducts, FloatsAreTurnedRound) {
  const format::ModelInfo info = toy();
  GraphNodes nodes(info);
  GraphProducts products(nodes, {});
  FRUGAL_ASSERT_OK(products.linear("x", Role::kUp, 0, "y"));
  EXPECT_THAT(operators(nodes), testing::ElementsAre("MatMul"));
  const std::vector<int64_t> shape = nodes.shape(nodes.name_of(Role::kUp, 0));
  EXPECT_THAT(nodes.graph.model.initializers[0].dims, testing::ElementsAre(shape[1], shape[0]));
}

TEST(GraphProducts, BiasesAreAddedBehind) {
  format::ModelInfo info = toy();
  info.config.layers[0].attention.input_bias = true;
  GraphNodes nodes(info);
  GraphProducts products(nodes, {});
  FRUGAL_ASSERT_OK(products.linear("x", Role::kKey, 0, "y"));
  EXPECT_THAT(operators(nodes), testing::ElementsAre("MatMul", "Add"));
  EXPECT_EQ(nodes.graph.model.nodes.back().outputs.front(), "y");
}

TEST(GraphProducts, CodesKeepTheirBlocks) {
  OneOnGrid one(Role::kUp, 0, "int4:g16:asym");
  auto& [info, nodes, weight, products] = one;
  FRUGAL_ASSERT_OK(products.multiply("x", weight, "y"));
  EXPECT_THAT(operators(nodes), testing::ElementsAre("MatMulNBits"));
  EXPECT_EQ(nodes.graph.sources.size(), 3u);  // codes, scales, zero points
  info.grids[weight] = "nf4:g16";
  FRUGAL_EXPECT_ERROR(products.multiply("x", weight, "z"), absl::StatusCode::kInvalidArgument,
                      "cannot write");
}

// The embedding's rows and a tied head's products come of the same integers.
TEST(GraphProducts, GatheredIntegersAreShared) {
  OneOnGrid one(Role::kEmbedding, architecture::kNoLayer, "q8_0");
  auto& [info, nodes, weight, products] = one;
  EXPECT_TRUE(products.gathers_integers(weight));
  FRUGAL_ASSERT_OK(products.gather("ids", weight, "x"));
  FRUGAL_ASSERT_OK(products.multiply("x", weight, "y"));
  EXPECT_THAT(operators(nodes),
              testing::ElementsAre("Reshape", "GatherBlockQuantized", "MatMulNBits"));
  EXPECT_EQ(nodes.graph.sources.size(), 2u);  // codes and scales, once
  const std::vector<int64_t> shape = nodes.shape(weight);
  EXPECT_THAT(nodes.graph.model.initializers[0].dims,
              testing::ElementsAre(shape[0], shape[1] / 32, 32));
}

// Grids that the operators do not hold, and 2 bits, which GatherBlockQuantized does not.
TEST(GraphProducts, OtherEmbeddingsAreGatheredAsFloats) {
  for (const char* grid : {"iq4_nl", "int2:g16", "q4_1"}) {
    OneOnGrid one(Role::kEmbedding, architecture::kNoLayer, grid);
    auto& [info, nodes, weight, products] = one;
    EXPECT_FALSE(products.gathers_integers(weight)) << grid;
    FRUGAL_ASSERT_OK(products.gather("ids", weight, "x"));
    EXPECT_THAT(operators(nodes), testing::ElementsAre("Gather")) << grid;
  }
}

// Standard operators: columns of blocks straight before the product.
TEST(GraphProducts, StandardOperatorsDecodeBeforeTheProduct) {
  OneOnGrid one(Role::kUp, 0, "int3:g16:asym", {.standard_operators = true});
  auto& [info, nodes, weight, products] = one;
  const std::vector<int64_t> shape = nodes.shape(weight);
  FRUGAL_ASSERT_OK(products.multiply("x", weight, "y"));
  EXPECT_THAT(operators(nodes), testing::ElementsAre("DequantizeLinear", "MatMul"));
  const std::vector<format::OnnxInitializer>& made = nodes.graph.model.initializers;
  ASSERT_EQ(made.size(), 3u);
  EXPECT_EQ(made[0].type, format::OnnxType::kUint4);
  EXPECT_THAT(made[0].dims, testing::ElementsAre(shape[1], shape[0]));
  EXPECT_EQ(made[2].type, format::OnnxType::kUint4);
  EXPECT_THAT(made[2].dims, testing::ElementsAre(shape[1] / 16, shape[0]));
  info.grids[weight] = "iq4_nl";
  FRUGAL_EXPECT_ERROR(products.multiply("x", weight, "z"), absl::StatusCode::kInvalidArgument,
                      "DequantizeLinear");
}

// Gather takes bytes; a tied head has the same integers in the order of products.
TEST(GraphProducts, StandardOperatorsGatherBytes) {
  OneOnGrid one(Role::kEmbedding, architecture::kNoLayer, "q4_0", {.standard_operators = true});
  auto& [info, nodes, weight, products] = one;
  EXPECT_TRUE(products.gathers_integers(weight));
  FRUGAL_ASSERT_OK(products.gather("ids", weight, "x"));
  FRUGAL_ASSERT_OK(products.multiply("x", weight, "y"));
  EXPECT_THAT(operators(nodes), testing::ElementsAre("Gather", "Gather", "DequantizeLinear",
                                                     "DequantizeLinear", "MatMul"));
  const std::vector<format::OnnxInitializer>& made = nodes.graph.model.initializers;
  ASSERT_EQ(made.size(), 4u);
  EXPECT_EQ(made[0].type, format::OnnxType::kInt8);
  EXPECT_EQ(made[0].dims, nodes.shape(weight));
  EXPECT_EQ(made[2].type, format::OnnxType::kInt4);
}

// Inputs that several matrices share are rounded once.
TEST(GraphProducts, InputsAreRoundedOnce) {
  format::ModelInfo info = toy();
  GraphNodes nodes(info);
  GraphProducts products(nodes, {});
  for (const Role role : {Role::kGate, Role::kUp}) {
    const std::string weight = nodes.name_of(role, 0);
    info.grids[weight] = "int8:row";
    info.activations[weight] = format::Activations::kInt8;
    FRUGAL_ASSERT_OK(products.multiply("x", weight, weight + ".y"));
  }
  const std::vector<std::string> found = operators(nodes);
  EXPECT_EQ(std::count(found.begin(), found.end(), "Round"), 1);
  EXPECT_EQ(std::count(found.begin(), found.end(), "MatMulInteger"), 2);
}

}  // namespace
}  // namespace frugal::artifact
