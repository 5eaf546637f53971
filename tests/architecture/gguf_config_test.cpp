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
  EXPECT_EQ(names, (std::vector<std::string>{"llama", "qwen2", "qwen3", "gemma3", "phi3"}));
  for (const std::string& name : names) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig config, config_of_gguf(numbers(name), "x.gguf"));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string_view back, gguf_architecture(config));
    EXPECT_EQ(back, name);
    EXPECT_EQ(config.hidden_size, 64);
    EXPECT_EQ(config.layers[1].attention.rope.theta, 5e5);
    EXPECT_EQ(config.eos_token_ids, (std::vector<int64_t>{1, 2}));
    EXPECT_FALSE(config.layers[0].attention.window.has_value());
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
