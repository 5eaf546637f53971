#include "layerwise/walk/layer_weights.h"

#include <gtest/gtest.h>

#include "architecture/tensors.h"
#include "support/shared_data.h"
#include "support/toy_model.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;
using architecture::Role;

// A toy of two layers with biases behind query, key and value.
class LayerWeights : public testing::Test {
 protected:
  static format::Checkpoint make(const std::filesystem::path& folder) {
    architecture::ModelConfig config = toy_config({.layers = 2});
    config.architecture = "Qwen2ForCausalLM";
    config.model_type = "qwen2";
    for (architecture::Layer& layer : config.layers) layer.attention.input_bias = true;
    return save_toy(model::Decoder::create(config, 1, at::kCPU).value(), folder);
  }
  at::Tensor value(const std::string& name) const {
    const std::vector<float> values = checkpoint_.values(name).value();
    return at::tensor(values).view(at::IntArrayRef(checkpoint_.info(name)->shape));
  }
  std::string name(Role role, int64_t layer) const {
    return architecture::tensor_name(checkpoint_.config(), role, layer);
  }
  TemporaryFolder folder_;
  format::Checkpoint checkpoint_ = make(folder_.path() / "toy");
};

TEST_F(LayerWeights, MatricesLieBelowEachOtherInTheOrderAskedFor) {
  const std::vector<std::string> names = {name(Role::kValue, 1), name(Role::kQuery, 0)};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const StageWeights weights, load_matrices(checkpoint_, names));
  EXPECT_EQ(weights.names, names);
  EXPECT_EQ(weights.row_counts, (std::vector<int64_t>{16, 32}));
  EXPECT_TRUE(at::equal(weights.stacked, tensor::concatenate({value(names[0]), value(names[1])})));
  EXPECT_EQ(weights.stacked.scalar_type(), at::kFloat);
  EXPECT_TRUE(weights.stacked.is_contiguous());
}

TEST_F(LayerWeights, WhatCannotBeStackedIsAnError) {
  FRUGAL_EXPECT_ERROR(load_matrices(checkpoint_, {"absent"}), absl::StatusCode::kNotFound,
                      "absent");
  const auto uneven = load_matrices(checkpoint_, {name(Role::kQuery, 0), name(Role::kDown, 0)});
  ASSERT_FALSE(uneven.ok());  // 32 and 64 columns
  EXPECT_NE(uneven.status().message().find("stacking weights"), std::string::npos)
      << uneven.status();
}

TEST_F(LayerWeights, AStageIsItsMatrices) {
  const auto stages = architecture::stages(checkpoint_.config(), 1);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const StageWeights weights, load_stage(checkpoint_, stages[2]));
  EXPECT_EQ(weights.names, (std::vector<std::string>{name(Role::kGate, 1), name(Role::kUp, 1)}));
  EXPECT_EQ(weights.row_counts, (std::vector<int64_t>{64, 64}));
}

// In the order of the walk and out of it; what is read ahead of time changes nothing.
TEST_F(LayerWeights, AReaderGivesTheStagesThatItIsAskedFor) {
  const auto stages = architecture::all_stages(checkpoint_.config());
  StageReader reader(checkpoint_, stages, at::kCPU);
  std::vector<architecture::StageRef> order;
  for (int64_t layer = 0; layer < 2; ++layer) {
    for (size_t stage = 0; stage < 4; ++stage) order.push_back({layer, stage});
  }
  order.insert(order.end(), {{0, 3}, {0, 3}, {1, 1}, {1, 3}});
  for (const architecture::StageRef& at : order) {
    const architecture::Stage& stage = stages[static_cast<size_t>(at.layer)][at.stage];
    read_ahead(checkpoint_, stage);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const StageWeights found, reader.take(at));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const StageWeights expected, load_stage(checkpoint_, stage));
    EXPECT_EQ(found.names, expected.names);
    EXPECT_TRUE(at::equal(found.stacked, expected.stacked));
    EXPECT_TRUE(found.here.is_same(found.stacked));  // nothing is copied on the CPU
  }
}

TEST_F(LayerWeights, AReaderHandsOnTheErrorsOfLoading) {
  auto stages = architecture::all_stages(checkpoint_.config());
  stages[0][1].matrices[0].name = "absent";
  StageReader reader(checkpoint_, stages, at::kCPU);
  FRUGAL_EXPECT_OK(reader.take({0, 0}));  // reading ahead finds nothing, and says nothing
  FRUGAL_EXPECT_ERROR(reader.take({0, 1}), absl::StatusCode::kNotFound, "absent");
  FRUGAL_EXPECT_OK(reader.take({0, 2}));
}

TEST_F(LayerWeights, SmallParametersAreAllButMatrices) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const model::LayerParameters small,
                              load_small_parameters(checkpoint_, 1, at::kCPU));
  ASSERT_EQ(small.size(), 5u);  // two norms, three biases
  for (const Role role : {Role::kNormBeforeAttention, Role::kNormBeforeFeedForward,
                          Role::kQueryBias, Role::kKeyBias, Role::kValueBias})
    EXPECT_TRUE(at::equal(small.at(role), value(name(role, 1))));
}

TEST_F(LayerWeights, WhatStandsOutsideOfTheLayersHasWhatTheModelHas) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const model::Embedding embedding,
                              load_embedding(checkpoint_, at::kCPU));
  EXPECT_TRUE(at::equal(embedding.table, value(name(Role::kEmbedding, 0))));
  EXPECT_FALSE(embedding.positions.defined());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const model::NormWeights norm,
                              load_final_norm(checkpoint_, at::kCPU));
  EXPECT_TRUE(at::equal(norm.gain, value(name(Role::kFinalNorm, 0))));
  EXPECT_FALSE(norm.bias.defined());
  const auto config = toy_gpt2_config();
  const auto gpt2 =
      save_toy(model::Decoder::create(config, 1, at::kCPU).value(), folder_.path() / "gpt2");
  EXPECT_EQ(load_embedding(gpt2, at::kCPU)->positions.sizes(), at::IntArrayRef({64, 32}));
  EXPECT_TRUE(at::equal(load_final_norm(gpt2, at::kCPU)->bias, at::zeros({32})));
}

TEST_F(LayerWeights, WindowsHaveOneContextForEachKindOfLayer) {
  architecture::ModelConfig config = checkpoint_.config();
  config.layers[1].attention.window = 3;
  const model::AttentionContexts contexts =
      window_contexts(config, 5, at::kCPU, model::Precision::kFloat32);
  ASSERT_EQ(contexts.kinds.size(), 2u);
  EXPECT_EQ(contexts.of(0).cosine.sizes(), at::IntArrayRef({1, 1, 5, 8}));
  EXPECT_FALSE(contexts.of(0).mask.defined());  // plain causal
  EXPECT_FALSE(contexts.of(0).rounded);
  // Place 0 is not turned at all.
  EXPECT_TRUE(at::equal(contexts.of(0).cosine[0][0][0], at::ones({8})));
  EXPECT_TRUE(at::equal(contexts.of(0).sine[0][0][0], at::zeros({8})));
  const at::Tensor mask = contexts.of(1).mask;
  ASSERT_TRUE(mask.defined());
  ASSERT_EQ(mask.sizes().slice(2), at::IntArrayRef({5, 5}));
  for (int64_t i = 0; i < 5; ++i) {
    for (int64_t j = 0; j < 5; ++j)
      EXPECT_EQ(mask[0][0][i][j].item<bool>(), j <= i && i - j < 3) << i << " " << j;
  }
  EXPECT_TRUE(window_contexts(config, 5, at::kCPU, model::Precision::kRounded).of(0).rounded);
  config.layers[1].attention.window.reset();
  EXPECT_EQ(window_contexts(config, 5, at::kCPU, model::Precision::kFloat32).kinds.size(), 1u);
}

}  // namespace
}  // namespace frugal::layerwise
