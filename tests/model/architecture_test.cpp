#include "model/architecture.h"

#include "model/toy.h"

namespace frugal::model {
namespace {

TEST(Architecture, LlamaHasFourStagesAndSevenMatrices) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::vector<Stage> llama, stages(toy::config()));
  ASSERT_EQ(llama.size(), 4u);
  EXPECT_EQ(llama[0].matrices,
            (std::vector<std::string>{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}));
  EXPECT_EQ(llama[2].matrices, (std::vector<std::string>{"mlp.gate_proj", "mlp.up_proj"}));
  EXPECT_FALSE(llama[0].writes_residual);
  EXPECT_TRUE(llama[1].writes_residual);
  EXPECT_FALSE(llama[2].writes_residual);
  EXPECT_TRUE(llama[3].writes_residual);
}

TEST(Architecture, EveryDecoderMatrixIsAnExpectedTensor) {
  const format::ModelConfig config = toy::config();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, decoder_matrices(config));
  EXPECT_EQ(names.size(), 21u);
  EXPECT_EQ(names.front(), "model.layers.0.self_attn.q_proj.weight");
  EXPECT_EQ(names.back(), "model.layers.2.mlp.down_proj.weight");
  size_t found = 0;
  for (const auto& [name, shape] : format::expected_tensors(config)) {
    found += static_cast<size_t>(std::count(names.begin(), names.end(), name));
  }
  EXPECT_EQ(found, names.size());
}

TEST(Architecture, EveryWeightWithChannelsSaysWhatItsAre) {
  for (const bool tied : {false, true}) {
    format::ModelConfig config = toy::config();
    config.tied_embeddings = tied;
    FRUGAL_ASSERT_OK_AND_ASSIGN(const StreamUses uses, stream_uses(config));
    EXPECT_EQ(uses.at("model.layers.1.mlp.gate_proj.weight"), StreamUse::kReads);
    EXPECT_EQ(uses.at("model.layers.2.self_attn.o_proj.weight"), StreamUse::kWrites);
    EXPECT_EQ(uses.at("model.layers.0.post_attention_layernorm.weight"), StreamUse::kGains);
    EXPECT_EQ(uses.contains("lm_head.weight"), !tied);
    // Shapes where no other dimension is as large as the hidden size: the use is where it stands.
    config.hidden_size = 1000;
    for (const auto& [name, shape] : format::expected_tensors(config)) {
      const auto use = uses.find(name);
      ASSERT_NE(use, uses.end()) << name;
      EXPECT_EQ(use->second == StreamUse::kWrites ? shape.front() : shape.back(), 1000) << name;
    }
  }
}

TEST(Architecture, UnknownOnesAreRefusedWithTheNearest) {
  format::ModelConfig config = toy::config();
  config.architecture = "LlamaForCausalLN";
  FRUGAL_EXPECT_ERROR(stages(config), absl::StatusCode::kUnimplemented,
                      "did you mean 'LlamaForCausalLM'");
  FRUGAL_EXPECT_ERROR(layer_runner(config), absl::StatusCode::kUnimplemented, "LlamaForCausalLN");
}

}  // namespace
}  // namespace frugal::model
