#include "passes/common/mix.h"

#include <gtest/gtest.h>

#include <map>

namespace frugal::passes {
namespace {

format::ModelConfig llama(int64_t layers, int64_t heads, int64_t key_value_heads) {
  format::ModelConfig config;
  config.layer_count = layers;
  config.head_count = heads;
  config.key_value_head_count = key_value_heads;
  return config;
}

std::string layers_with(std::string_view mix, std::string_view matrix, std::string_view grid,
                        const format::ModelConfig& config) {
  std::string result;
  for (int64_t layer = 0; layer < config.layer_count; ++layer)
    result += mix_layer_grid(mix, matrix, layer, 4096, config) == grid ? 'x' : '.';
  return result;
}

// Written out by hand for 16 layers: the first 2, the last 2, and 4, 7, 10, 13 between.
TEST(Mix, MoreBitsForTheOuterAndEveryThirdLayer) {
  const format::ModelConfig config = llama(16, 32, 8);
  EXPECT_EQ(layers_with("q4_k_m", "mlp.down_proj", "q6_k", config), "xx..x..x..x..xxx");
  EXPECT_EQ(layers_with("q4_k_m", "self_attn.v_proj", "q6_k", config), "xx..x..x..x..xxx");
  EXPECT_EQ(layers_with("q5_k_m", "mlp.down_proj", "q6_k", config), "xx..x..x..x..xxx");
  EXPECT_EQ(layers_with("q4_k_m", "mlp.up_proj", "q4_k", config), "xxxxxxxxxxxxxxxx");
  EXPECT_EQ(layers_with("q4_k_s", "self_attn.v_proj", "q5_k", config), "xxxx............");
  EXPECT_EQ(layers_with("q4_k_s", "mlp.down_proj", "q5_k", config), "xx..............");
  EXPECT_EQ(layers_with("q3_k_m", "mlp.down_proj", "q5_k", config), "x...............");
  EXPECT_EQ(layers_with("q3_k_m", "mlp.down_proj", "q4_k", config), ".xxxxxxxxxxxxxxx");
}

TEST(Mix, TwoBitsLookAtHowManyQueriesShareAValue) {
  EXPECT_EQ(mix_layer_grid("q2_k_m", "self_attn.v_proj", 3, 4096, llama(16, 32, 8)), "q4_k");
  EXPECT_EQ(mix_layer_grid("q2_k_m", "self_attn.v_proj", 3, 4096, llama(16, 32, 32)), "q3_k");
  EXPECT_EQ(mix_layer_grid("q2_k_s", "self_attn.v_proj", 3, 4096, llama(16, 32, 32)), "q2_k");
}

TEST(Mix, RowsThatDoNotFillBlocksGetTheSmallerType) {
  const format::ModelConfig config = llama(8, 8, 4);
  EXPECT_EQ(mix_layer_grid("q4_k_m", "mlp.up_proj", 3, 352, config), "q5_0");
  EXPECT_EQ(mix_layer_grid("q4_k_m", "mlp.down_proj", 0, 352, config), "q8_0");
  EXPECT_EQ(mix_layer_grid("q5_k_s", "mlp.up_proj", 3, 352, config), "q5_1");
  EXPECT_EQ(mix_layer_grid("q3_k_s", "mlp.up_proj", 3, 352, config), "iq4_nl");
}

TEST(Mix, HeadAndEmbedding) {
  EXPECT_EQ(mix_head_grid(256), "q6_k");
  EXPECT_EQ(mix_embedding_grid("q4_k_m", 256, false), "q4_k");
  EXPECT_EQ(mix_embedding_grid("q4_k_m", 256, true), "q6_k");
  EXPECT_TRUE(is_mix("q4_k_m"));
  EXPECT_FALSE(is_mix("q4_k"));
}

}  // namespace
}  // namespace frugal::passes
