#include "architecture/gguf_config.h"

#include <gtest/gtest.h>

#include "architecture/gguf_names.h"
#include "support/shared_data.h"

namespace frugal::architecture {
namespace {

GgufNumbers numbers(std::string architecture) {
  return {.architecture = std::move(architecture),
          .vocabulary_size = 300,
          .hidden_size = 64,
          .context_length = 128,
          .layer_count = 2,
          .feed_forward_width = 96,
          .heads = 4,
          .key_value_heads = 2,
          .head_size = 16,
          .epsilon = 1e-6,
          .rope = {.theta = 5e5},
          .windowed_rope = {.theta = 5e5},
          .eos_token_ids = {1, 2}};
}

TEST(GgufConfig, EveryArchitectureThatIsNamedIsRead) {
  const std::vector<std::string> names = gguf_architectures();
  EXPECT_EQ(names,
            (std::vector<std::string>{"llama", "qwen2", "qwen3", "qwen3moe", "gemma2", "gemma3",
                                      "phi3", "olmo2", "olmoe", "smollm3", "granite", "gpt2"}));
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    GgufNumbers of = numbers(name);
    if (name == "qwen3moe" || name == "olmoe") {
      of.experts = 4;
      of.experts_per_token = 2;
    }
    if (name == "olmoe" || name == "gpt2") of.key_value_heads = 4;
    if (name == "gpt2") of.rope = {};
    if (name == "gemma2") {
      of.window = 32;
      of.windowed = {true, false};
    }
    FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig config, config_of_gguf(of, "x.gguf"));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string_view back, gguf_architecture(config));
    EXPECT_EQ(back, name);
    EXPECT_EQ(config.hidden_size, 64);
    EXPECT_EQ(config.layers[1].attention.rope.theta, of.rope.theta);
    EXPECT_EQ(config.eos_token_ids, (std::vector<int64_t>{1, 2}));
    EXPECT_EQ(config.layers[0].attention.window.has_value(), name == "gemma2");
    EXPECT_EQ(config.layers[0].experts.has_value(), of.experts.has_value());
    // llama.cpp's graph scales by the size of a head, whatever the family's default.
    EXPECT_DOUBLE_EQ(config.layers[0].attention.score_scale, 0.25) << name;
  }
}

TEST(GgufConfig, AWindowOverAllLayersMakesAMistral) {
  GgufNumbers windowed = numbers("llama");
  windowed.window = 32;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig config, config_of_gguf(windowed, "x.gguf"));
  EXPECT_EQ(config.model_type, "mistral");
  EXPECT_EQ(config.layers[1].attention.window, 32);
}

TEST(GgufConfig, WindowsOfSomeLayersAndTheirTheta) {
  GgufNumbers some = numbers("gemma3");
  some.window = 32;
  some.windowed = {true, false};
  some.windowed_rope.theta = 1e4;
  some.rope.scaling = RopeScaling{.kind = RopeScaling::Kind::kLinear, .factor = 4};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig config, config_of_gguf(some, "x.gguf"));
  EXPECT_EQ(config.layers[0].attention.window, 32);
  EXPECT_EQ(config.layers[0].attention.rope, some.windowed_rope);
  EXPECT_FALSE(config.layers[1].attention.window.has_value());
  EXPECT_EQ(config.layers[1].attention.rope, some.rope);
}

TEST(GgufConfig, BiasesOfTheFile) {
  GgufNumbers biased = numbers("llama");
  biased.attention_bias = biased.feed_forward_bias = true;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig config, config_of_gguf(biased, "x.gguf"));
  EXPECT_TRUE(config.layers[0].attention.input_bias);
  EXPECT_TRUE(config.layers[0].feed_forward.bias);
  biased.architecture = "phi3";
  FRUGAL_EXPECT_ERROR(config_of_gguf(biased, "x.gguf"), absl::StatusCode::kUnimplemented,
                      "'attention_bias' is true");
}

TEST(GgufConfig, ExpertsMakeALlamaAMixtral) {
  GgufNumbers mixed = numbers("llama");
  mixed.experts = 8;
  mixed.experts_per_token = 2;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig config, config_of_gguf(mixed, "x.gguf"));
  EXPECT_EQ(config.model_type, "mixtral");
  EXPECT_EQ(config.layers[1].experts, (Experts{.count = 8, .per_token = 2, .normalized = true}));
  mixed.architecture = "qwen2";
  FRUGAL_EXPECT_ERROR(config_of_gguf(mixed, "x.gguf"), absl::StatusCode::kUnimplemented,
                      "its architecture is 'qwen2' with experts");
}

// llama.cpp's graphs divide the weights of a token's experts by their sum, or do not.
TEST(GgufConfig, ExpertsAreNormalizedAsTheGraphHasThem) {
  GgufNumbers of = numbers("olmoe");
  of.experts = 4;
  of.experts_per_token = 2;
  of.key_value_heads = 4;
  EXPECT_FALSE(config_of_gguf(of, "x.gguf")->layers[0].experts->normalized);
  of.architecture = "qwen3moe";
  EXPECT_TRUE(config_of_gguf(of, "x.gguf")->layers[0].experts->normalized);
}

TEST(GgufConfig, BoundsOfScoresAndLogits) {
  GgufNumbers of = numbers("gemma2");
  of.window = 32;
  of.windowed = {true, false};
  EXPECT_EQ(config_of_gguf(of, "x.gguf")->layers[0].attention.score_cap, 50);  // the family's
  of.score_cap = 0;
  of.logit_cap = 12;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig config, config_of_gguf(of, "x.gguf"));
  EXPECT_FALSE(config.layers[0].attention.score_cap.has_value());
  EXPECT_EQ(config.logit_rule.cap, 12);
}

TEST(GgufConfig, MultipliersOfGranite) {
  GgufNumbers of = numbers("granite");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig plain, config_of_gguf(of, "x.gguf"));
  EXPECT_DOUBLE_EQ(plain.layers[0].attention.score_scale, 0.25);
  of.score_scale = 0.125;
  of.embedding_scale = 12;
  of.residual_scale = 0.22;
  of.logit_divisor = 8;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig config, config_of_gguf(of, "x.gguf"));
  EXPECT_EQ(config.layers[1].attention.score_scale, 0.125);
  EXPECT_EQ(config.embedding_scale, 12);
  EXPECT_EQ(config.layers[1].residual_multiplier, 0.22);
  EXPECT_EQ(config.logit_rule.scale, 0.125);
}

TEST(GgufConfig, EveryFourthLayerOfASmolLM3HasNoPositions) {
  GgufNumbers of = numbers("smollm3");
  of.layer_count = 5;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig config, config_of_gguf(of, "x.gguf"));
  for (size_t i = 0; i < 5; ++i)
    EXPECT_EQ(config.layers[i].attention.rope.channels.has_value(), i == 3) << i;
}

TEST(GgufConfig, LongRopeOfAShareOfTheHead) {
  GgufNumbers of = numbers("phi3");
  of.rope.channels = 8;
  of.rope.scaling = RopeScaling{.kind = RopeScaling::Kind::kLongRope,
                                .factor = 1,
                                .original_max_position_embeddings = 32,
                                .short_factors = {1, 1.5, 2, 2.5},
                                .long_factors = {2, 3, 4, 5},
                                .attention_factor = 1.25};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig config, config_of_gguf(of, "x.gguf"));
  EXPECT_EQ(config.layers[1].attention.rope, of.rope);
}

// It learned positions and has as many key and value heads as others.
TEST(GgufConfig, Gpt2TurnsNothing) {
  GgufNumbers of = numbers("gpt2");
  of.rope = {};
  FRUGAL_EXPECT_ERROR(config_of_gguf(of, "x.gguf"), absl::StatusCode::kUnimplemented,
                      "a config of GPT2LMHeadModel cannot say the heads that layer 0");
  of.key_value_heads = 4;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig config, config_of_gguf(of, "x.gguf"));
  EXPECT_TRUE(config.learned_positions);
  EXPECT_TRUE(config.final_norm.centered);
  EXPECT_EQ(config.layers[1].attention.rope.channels, 0);
  EXPECT_EQ(config.layers[1].feed_forward.width, 96);
  of.rope.theta = 5e5;
  FRUGAL_EXPECT_ERROR(config_of_gguf(of, "x.gguf"), absl::StatusCode::kUnimplemented,
                      "cannot say the window or the rotary embedding");
}

TEST(GgufConfig, NamesWhatItDoesNotRead) {
  FRUGAL_EXPECT_ERROR(config_of_gguf(numbers("mamba"), "x.gguf"), absl::StatusCode::kUnimplemented,
                      "x.gguf: its architecture is 'mamba'; frugal reads GGUF files of llama, ");
  GgufNumbers odd = numbers("llama");
  odd.key_value_heads = 3;
  FRUGAL_EXPECT_ERROR(config_of_gguf(odd, "x.gguf"), absl::StatusCode::kInvalidArgument,
                      "'num_key_value_heads' is 3");
}

}  // namespace
}  // namespace frugal::architecture
