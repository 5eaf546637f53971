#include "architecture/stages.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "architecture/tiny_config.h"

namespace frugal::architecture {
namespace {

std::vector<Role> roles(const Stage& stage) {
  std::vector<Role> result;
  for (const Tensor& matrix : stage.matrices) result.push_back(matrix.role);
  return result;
}

TEST(Stages, FourOfSevenMatrices) {
  const std::vector<Stage> llama = stages(test::tiny_config(), 1);
  ASSERT_EQ(llama.size(), 4u);
  EXPECT_THAT(roles(llama[0]), testing::ElementsAre(Role::kQuery, Role::kKey, Role::kValue));
  EXPECT_THAT(roles(llama[1]), testing::ElementsAre(Role::kAttentionOutput));
  EXPECT_THAT(roles(llama[2]), testing::ElementsAre(Role::kGate, Role::kUp));
  EXPECT_THAT(roles(llama[3]), testing::ElementsAre(Role::kDown));
  EXPECT_EQ(llama[0].matrices[2].name, "model.layers.1.self_attn.v_proj.weight");
  EXPECT_FALSE(llama[0].writes_residual);
  EXPECT_TRUE(llama[1].writes_residual);
  EXPECT_FALSE(llama[2].writes_residual);
  EXPECT_TRUE(llama[3].writes_residual);
  EXPECT_EQ(llama[1].input_scale->role, Role::kValue);
  EXPECT_EQ(llama[2].input_scale->name, "model.layers.1.post_attention_layernorm.weight");
}

TEST(Stages, ANormBehindABlockStandsBetweenItAndTheStream) {
  const std::vector<Stage> gemma = stages(test::tiny_gemma3(), 0);
  EXPECT_FALSE(gemma[1].writes_residual);
  EXPECT_FALSE(gemma[3].writes_residual);
  EXPECT_EQ(gemma[2].input_scale->name, "model.layers.0.pre_feedforward_layernorm.weight");
}

TEST(Stages, EveryMatrixOfALayerIsInOneStage) {
  for (const ModelConfig& config : {test::tiny_config(), test::tiny_gemma3()}) {
    std::vector<std::string> all;
    for (const Tensor& tensor : tensors(config)) {
      if (tensor.in_layer() && tensor.is_matrix()) all.push_back(tensor.name);
    }
    std::vector<std::string> staged = layer_matrices(config);
    EXPECT_EQ(all_stages(config).size(), config.layers.size());
    std::sort(all.begin(), all.end());
    std::sort(staged.begin(), staged.end());
    EXPECT_EQ(staged, all);
  }
}

}  // namespace
}  // namespace frugal::architecture
