#include "artifact/gguf/mix.h"

#include <gtest/gtest.h>

#include <map>

namespace frugal::artifact {
namespace {

using architecture::Role;

architecture::ModelConfig llama(int64_t layers, int64_t heads, int64_t key_value_heads) {
  architecture::Layer layer;
  layer.attention.heads = heads;
  layer.attention.key_value_heads = key_value_heads;
  const architecture::ModelConfig config = architecture::make_decoder(layers, layer);
  return config;
}

std::string layers_with(std::string_view mix, Role matrix, std::string_view grid,
                        const architecture::ModelConfig& config) {
  std::string result;
  for (int64_t layer = 0; layer < config.layer_count(); ++layer)
    result += layer_grid(mix, matrix, layer, config) == grid ? 'x' : '.';
  return result;
}

// Written out by hand for 16 layers: the first 2, the last 2, and 4, 7, 10, 13 between.
TEST(Mix, MoreBitsForTheOuterAndEveryThirdLayer) {
  const architecture::ModelConfig config = llama(16, 32, 8);
  EXPECT_EQ(layers_with("q4_k_m", Role::kDown, "q6_k", config), "xx..x..x..x..xxx");
  EXPECT_EQ(layers_with("q4_k_m", Role::kValue, "q6_k", config), "xx..x..x..x..xxx");
  EXPECT_EQ(layers_with("q5_k_m", Role::kDown, "q6_k", config), "xx..x..x..x..xxx");
  EXPECT_EQ(layers_with("q4_k_m", Role::kUp, "q4_k", config), "xxxxxxxxxxxxxxxx");
  EXPECT_EQ(layers_with("q4_k_s", Role::kValue, "q5_k", config), "xxxx............");
  EXPECT_EQ(layers_with("q4_k_s", Role::kDown, "q5_k", config), "xx..............");
  EXPECT_EQ(layers_with("q3_k_m", Role::kDown, "q5_k", config), "x...............");
  EXPECT_EQ(layers_with("q3_k_m", Role::kDown, "q4_k", config), ".xxxxxxxxxxxxxxx");
}

TEST(Mix, TwoBitsLookAtHowManyQueriesShareAValue) {
  EXPECT_EQ(layer_grid("q2_k_m", Role::kValue, 3, llama(16, 32, 8)), "q4_k");
  EXPECT_EQ(layer_grid("q2_k_m", Role::kValue, 3, llama(16, 32, 32)), "q3_k");
  EXPECT_EQ(layer_grid("q2_k_s", Role::kValue, 3, llama(16, 32, 32)), "q2_k");
}

TEST(Mix, FusedQueryKeyAndValueShareAType) {
  architecture::ModelConfig phi = llama(16, 32, 8);
  phi.architecture = "Phi3ForCausalLM";
  const std::map<std::string_view, std::string_view> grids = {
      {"q2_k_s", "q2_k"}, {"q2_k_m", "q2_k"}, {"q3_k_s", "q3_k"},
      {"q3_k_m", "q4_k"}, {"q3_k_l", "q4_k"}, {"q4_k_s", "q4_k"},
      {"q4_k_m", "q5_k"}, {"q5_k_s", "q5_k"}, {"q5_k_m", "q6_k"}};
  for (const auto& [mix, grid] : grids) {
    for (const Role matrix : {Role::kQuery, Role::kKey, Role::kValue})
      EXPECT_EQ(layers_with(mix, matrix, grid, phi), std::string(16, 'x')) << mix;
  }
  EXPECT_EQ(layers_with("q4_k_m", Role::kDown, "q6_k", phi), "xx..x..x..x..xxx");
}

TEST(Mix, RowsThatDoNotFillBlocksGetTheSmallerType) {
  for (const auto& [grid, smaller] :
       std::map<std::string_view, std::string_view>{{"q2_k", "iq4_nl"},
                                                    {"q3_k", "iq4_nl"},
                                                    {"iq4_xs", "iq4_nl"},
                                                    {"q4_k", "q5_0"},
                                                    {"q5_k", "q5_1"},
                                                    {"q6_k", "q8_0"},
                                                    {"q2_0", "q4_0"},
                                                    {"tq2_0", "q4_0"},
                                                    {"nvfp4", "iq4_nl"},
                                                    {"nvfp4:e0", "iq4_nl"},
                                                    {"mxfp4", "mxfp4"},
                                                    {"q4_0", "q4_0"}}) {
    EXPECT_EQ(fitting_grid(grid, 352), smaller);
    EXPECT_EQ(fitting_grid(grid, 512), grid);
  }
  for (const char* grid : {"q2_0", "nvfp4"}) EXPECT_EQ(fitting_grid(grid, 576), grid);
  EXPECT_EQ(fitting_grid("tq2_0", 576), "q4_0");
}

TEST(Mix, HeadAndEmbedding) {
  EXPECT_EQ(head_grid("q4_k_m"), "q6_k");
  EXPECT_EQ(embedding_grid("q4_k_m", false), "q4_k");
  EXPECT_EQ(embedding_grid("q4_k_m", true), "q6_k");
  EXPECT_EQ(head_grid("q4_0"), "q6_k");
  EXPECT_EQ(head_grid("q8_0"), "q8_0");
  EXPECT_EQ(embedding_grid("q4_0", false), "q4_0");
  EXPECT_EQ(layer_grid("q4_0", Role::kDown, 0, llama(8, 8, 4)), "q4_0");
  EXPECT_EQ(head_grid("mxfp4"), "q8_0");
  EXPECT_EQ(embedding_grid("mxfp4", false), "q8_0");
  EXPECT_EQ(head_grid("nvfp4"), "q6_k");
  EXPECT_EQ(embedding_grid("nvfp4:e-3", false), "q6_k");  // no tensor scale there
  EXPECT_EQ(head_grid("tq2_0"), "q6_k");
  EXPECT_EQ(embedding_grid("tq2_0", false), "q4_k");
  EXPECT_EQ(embedding_grid("q2_0", true), "q6_k");
  EXPECT_TRUE(is_mix("q4_k_m"));
  EXPECT_FALSE(is_mix("q4_k"));
}

}  // namespace
}  // namespace frugal::artifact
