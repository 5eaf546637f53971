#include "artifact/gguf/hyperparameters.h"

#include <gmock/gmock.h>

#include <cmath>
#include <map>

#include "support/shared_data.h"
#include "support/toy_model.h"

namespace frugal::artifact {
namespace {

using architecture::ModelConfig;
using architecture::RopeScaling;
using format::GgufValue;

constexpr auto kUnimplemented = absl::StatusCode::kUnimplemented;

std::map<std::string, GgufValue> keys(const ModelConfig& config, std::string_view architecture) {
  GgufMetadata metadata;
  add_hyperparameters(config, architecture, metadata);
  std::map<std::string, GgufValue> result(metadata.begin(), metadata.end());
  EXPECT_EQ(result.size(), metadata.size()) << "a key twice";
  return result;
}

ModelConfig gemma3(const base::Json& changes = base::Json::object()) {
  base::Json json = {{"architectures", {"Gemma3ForCausalLM"}},
                     {"model_type", "gemma3_text"},
                     {"vocab_size", 40},
                     {"hidden_size", 32},
                     {"intermediate_size", 64},
                     {"num_hidden_layers", 7},
                     {"num_attention_heads", 4},
                     {"num_key_value_heads", 2},
                     {"head_dim", 16},
                     {"max_position_embeddings", 128},
                     {"rms_norm_eps", 1e-6},
                     {"query_pre_attn_scalar", 16},
                     {"sliding_window", 8}};
  for (const auto& [key, value] : changes.items()) json[key] = value;
  return architecture::parse_model_config(json, "gemma").value();
}

TEST(Hyperparameters, AreLlamaCppsKeys) {
  const std::map<std::string, GgufValue> expected = {
      {"llama.block_count", uint32_t{3}},
      {"llama.context_length", uint32_t{64}},
      {"llama.embedding_length", uint32_t{32}},
      {"llama.feed_forward_length", uint32_t{64}},
      {"llama.attention.head_count", uint32_t{4}},
      {"llama.attention.head_count_kv", uint32_t{2}},
      {"llama.attention.key_length", uint32_t{8}},
      {"llama.attention.value_length", uint32_t{8}},
      {"llama.attention.layer_norm_rms_epsilon", 1e-5F},
      {"llama.rope.dimension_count", uint32_t{8}},
      {"llama.rope.freq_base", 10000.0F},
      {"llama.vocab_size", uint32_t{50}}};
  EXPECT_EQ(keys(test::toy_config({}), "llama"), expected);
}

// LayerNorm's epsilon has a key of its own; who learned positions turns nothing.
TEST(Hyperparameters, OfGpt2NameItsNormAndNoRotation) {
  const ModelConfig config = test::toy_gpt2_config();
  const auto found = keys(config, "gpt2");
  EXPECT_EQ(found.at("gpt2.attention.layer_norm_epsilon"), GgufValue(1e-5F));
  EXPECT_FALSE(found.contains("gpt2.attention.layer_norm_rms_epsilon"));
  EXPECT_EQ(gguf_epsilon_key("gpt2"), "attention.layer_norm_epsilon");
  EXPECT_FALSE(found.contains("gpt2.rope.freq_base"));
  FRUGAL_EXPECT_OK(check_hyperparameters(config));
}

// Llama 3's scaling travels as a tensor, the linear one as two keys.
TEST(Hyperparameters, LinearScalingHasKeys) {
  ModelConfig config = test::toy_config({});
  for (auto& layer : config.layers) layer.attention.rope.scaling = RopeScaling{};
  EXPECT_FALSE(keys(config, "llama").contains("llama.rope.scaling.type"));
  for (auto& layer : config.layers)
    layer.attention.rope.scaling = RopeScaling{.kind = RopeScaling::Kind::kLinear, .factor = 4.0};
  const auto found = keys(config, "qwen2");
  EXPECT_EQ(found.at("qwen2.rope.scaling.type"), GgufValue(std::string("linear")));
  EXPECT_EQ(found.at("qwen2.rope.scaling.factor"), GgufValue(4.0F));
}

TEST(Hyperparameters, WindowsThatLlamaCppAssumesAreNotSpelledOut) {
  const auto usual = keys(gemma3(), "gemma3");
  EXPECT_EQ(usual.at("gemma3.attention.sliding_window"), GgufValue(uint32_t{8}));
  EXPECT_EQ(usual.at("gemma3.rope.freq_base"), GgufValue(1e6F));  // of the layer without a window
  EXPECT_FALSE(usual.contains("gemma3.attention.sliding_window_pattern"));
  EXPECT_FALSE(usual.contains("gemma3.rope.freq_base_swa"));
  ModelConfig pruned = gemma3({{"rope_local_base_freq", 2e4}});
  pruned.layers.erase(pruned.layers.begin());
  const auto other = keys(pruned, "gemma3");
  EXPECT_EQ(other.at("gemma3.block_count"), GgufValue(uint32_t{6}));
  EXPECT_EQ(other.at("gemma3.attention.sliding_window_pattern"),
            GgufValue(std::vector<bool>{true, true, true, true, false, true}));
  EXPECT_EQ(other.at("gemma3.rope.freq_base_swa"), GgufValue(2e4F));
}

TEST(Hyperparameters, NormsOfQueriesTakeTheRestOfTheScale) {
  EXPECT_EQ(query_gain_factor(test::toy_config({})).value(), 1.0);
  EXPECT_EQ(query_gain_factor(gemma3()).value(), 1.0);  // a scalar of the head size
  // 1 / sqrt(64) instead of 1 / sqrt(16).
  EXPECT_DOUBLE_EQ(query_gain_factor(gemma3({{"query_pre_attn_scalar", 64}})).value(), 0.5);
  ModelConfig bare = test::toy_config({});
  for (auto& layer : bare.layers) layer.attention.score_scale = 1;
  FRUGAL_EXPECT_ERROR(query_gain_factor(bare), kUnimplemented,
                      "scales attention scores by 1 / sqrt(8), this model by 1");
  FRUGAL_EXPECT_ERROR(check_hyperparameters(bare), kUnimplemented, "no norm of queries");
}

// llama.cpp takes 62 layers of a Gemma 3 for the 27B model and scales by hidden size / heads.
TEST(Hyperparameters, TheLargestGemmaScalesByTheStream) {
  const ModelConfig large = gemma3({{"num_hidden_layers", 62}, {"query_pre_attn_scalar", 8}});
  EXPECT_EQ(query_gain_factor(large).value(), 1.0);  // 32 channels / 4 heads
  const ModelConfig other = gemma3({{"num_hidden_layers", 62}, {"query_pre_attn_scalar", 32}});
  EXPECT_DOUBLE_EQ(query_gain_factor(other).value(), 0.5);
}

TEST(Hyperparameters, WhatNoKeyCanSayIsRefused) {
  FRUGAL_EXPECT_OK(check_hyperparameters(test::toy_config({})));
  FRUGAL_EXPECT_OK(check_hyperparameters(gemma3()));
  ModelConfig scaled = gemma3();
  scaled.layers.back().attention.rope.scaling = RopeScaling{};
  FRUGAL_EXPECT_ERROR(check_hyperparameters(scaled), kUnimplemented,
                      "llama.cpp's gemma3 has no frequency factors");
  ModelConfig windows = gemma3();
  windows.layers[2].attention.window = 4;
  FRUGAL_EXPECT_ERROR(check_hyperparameters(windows), kUnimplemented,
                      "one window for all layers, this model 8 and 4");
  ModelConfig llama = test::toy_config({});
  llama.layers[1].attention.window = 4;
  FRUGAL_EXPECT_ERROR(check_hyperparameters(llama), kUnimplemented, "no sliding window");
}

}  // namespace
}  // namespace frugal::artifact
