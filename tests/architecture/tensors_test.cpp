#include "architecture/tensors.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

#include "architecture/tiny_config.h"

namespace frugal::architecture {
namespace {

std::vector<ModelConfig> some_models() {
  using test::parsed;
  using test::tiny_config_json;
  return {test::tiny_config(), parsed(tiny_config_json("Qwen2ForCausalLM", "qwen2")),
          parsed(tiny_config_json("Qwen3ForCausalLM", "qwen3")), test::tiny_gemma3(),
          parsed(tiny_config_json("Phi3ForCausalLM", "phi3"))};
}

TEST(Tensors, NamesAreTheWayBackToRoles) {
  for (const ModelConfig& config : some_models()) {
    const auto found = places(config);
    const std::vector<Tensor> all = tensors(config);
    EXPECT_EQ(found.size(), all.size()) << config.architecture;  // no name twice
    for (const Tensor& tensor : all) {
      EXPECT_EQ(tensor_name(config, tensor.role, tensor.layer), tensor.name);
      EXPECT_EQ(found.at(tensor.name).role, tensor.role);
      EXPECT_EQ(found.at(tensor.name).layer, tensor.layer);
    }
  }
}

// Parts of a fused tensor tile its rows in the order of their roles; the others lie by themselves.
TEST(Tensors, FusedOnesAreSlices) {
  const ModelConfig config = test::parsed(test::tiny_config_json("Phi3ForCausalLM", "phi3"));
  std::map<std::string, int64_t> rows;
  for (const Tensor& tensor : tensors(config)) {
    if (!tensor.slice) continue;
    EXPECT_EQ(tensor.slice->first_row, rows[tensor.slice->name]) << tensor.name;
    EXPECT_EQ(tensor.slice->shape.back(), tensor.shape.back());
    rows[tensor.slice->name] += tensor.shape.front();
    if (rows.at(tensor.slice->name) == tensor.slice->shape.front()) ++rows["whole"];
  }
  EXPECT_THAT(rows, testing::ElementsAre(
                        testing::Pair("model.layers.0.mlp.gate_up_proj.weight", 2 * 64),
                        testing::Pair("model.layers.0.self_attn.qkv_proj.weight", (4 + 2 + 2) * 8),
                        testing::Pair("model.layers.1.mlp.gate_up_proj.weight", 2 * 64),
                        testing::Pair("model.layers.1.self_attn.qkv_proj.weight", (4 + 2 + 2) * 8),
                        testing::Pair("whole", 4)));
  const std::vector<Tensor> layer = layer_tensors(config, 1);
  EXPECT_EQ(layer[1].name, "model.layers.1.self_attn.q_proj.weight");
  EXPECT_EQ(layer[2].slice->first_row, 4 * 8);
  EXPECT_EQ(layer[3].slice->first_row, (4 + 2) * 8);
  for (const Tensor& tensor : tensors(test::tiny_config())) EXPECT_FALSE(tensor.slice);
}

TEST(Tensors, ABiasBelongsToItsMatrix) {
  for (const Role matrix : {Role::kQuery, Role::kKey, Role::kValue, Role::kAttentionOutput,
                            Role::kGate, Role::kUp, Role::kDown}) {
    EXPECT_TRUE(is_bias(bias_of(matrix)));
    EXPECT_EQ(matrix_of(bias_of(matrix)), matrix);
    EXPECT_FALSE(is_bias(matrix));
  }
  const ModelConfig config = test::parsed(test::tiny_config_json("Qwen2ForCausalLM", "qwen2"));
  EXPECT_EQ(tensor_name(config, Role::kKeyBias, 1), "model.layers.1.self_attn.k_proj.bias");
  EXPECT_EQ(stem(config, Role::kKeyBias), "self_attn.k_proj");
}

TEST(Tensors, TheHeadIsTheEmbeddingWhereItIsTied) {
  ModelConfig config = test::tiny_config();
  EXPECT_EQ(head_name(config), "model.embed_tokens.weight");
  config.tied_embeddings = false;
  EXPECT_EQ(head_name(config), "lm_head.weight");
}

TEST(Tensors, EveryTensorWithChannelsSaysWhatItsAre) {
  for (ModelConfig config : some_models()) {
    // No other dimension is as large as the hidden size: the use is where it stands.
    config.hidden_size = 1000;
    const StreamUses uses = stream_uses(config);
    for (const Tensor& tensor : tensors(config)) {
      const bool has_channels =
          std::set<int64_t>(tensor.shape.begin(), tensor.shape.end()).contains(1000);
      const auto use = uses.find(tensor.name);
      ASSERT_EQ(use != uses.end(), has_channels) << tensor.name;
      if (!has_channels) continue;
      const int64_t side =
          use->second == StreamUse::kWrites ? tensor.shape.front() : tensor.shape.back();
      EXPECT_EQ(side, 1000) << tensor.name;
      EXPECT_EQ(use->second == StreamUse::kGains, is_norm(tensor.role)) << tensor.name;
    }
  }
}

TEST(Tensors, OnlyOnePlusNormsHaveAnOffset) {
  const ModelConfig gemma = test::tiny_gemma3(), llama = test::tiny_config();
  for (const Tensor& tensor : tensors(gemma)) {
    EXPECT_EQ(stored_offset(gemma, tensor.role, tensor.layer), is_norm(tensor.role) ? 1.0 : 0.0)
        << tensor.name;
  }
  for (const Tensor& tensor : tensors(llama))
    EXPECT_EQ(stored_offset(llama, tensor.role, tensor.layer), 0.0) << tensor.name;
}

}  // namespace
}  // namespace frugal::architecture
