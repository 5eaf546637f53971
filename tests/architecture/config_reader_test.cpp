#include "architecture/config_reader.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "architecture/tiny_config.h"

namespace frugal::architecture {
namespace {

using base::Json;
using test::tiny_config_json;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kUnimplemented = absl::StatusCode::kUnimplemented;

constexpr RopeRules kRopeRules{.head_size = 8, .context_length = 128};

TEST(ConfigReader, IntegersLieBetweenOneAndTheirLimit) {
  const Json json = {{"low", 1},   {"high", 8},   {"zero", 0},
                     {"above", 9}, {"text", "8"}, {"no", nullptr}};
  EXPECT_EQ(positive(json, "low", 8, "c").value(), 1);
  EXPECT_EQ(positive(json, "high", 8, "c").value(), 8);
  FRUGAL_EXPECT_ERROR(positive(json, "zero", 8, "c"), kInvalid, "c: 'zero' is 0, expected 1 to 8");
  FRUGAL_EXPECT_ERROR(positive(json, "above", 8, "c"), kInvalid,
                      "c: 'above' is 9, expected 1 to 8");
  FRUGAL_EXPECT_ERROR(positive(json, "text", 8, "c"), kInvalid, "'text'");
  FRUGAL_EXPECT_ERROR(positive(json, "absent", 8, "c"), kInvalid, "'absent' is missing");
  EXPECT_EQ(positive_or(json, "absent", 5, 8, "c").value(), 5);
  EXPECT_EQ(positive_or(json, "no", 5, 8, "c").value(), 5);
  EXPECT_EQ(positive_or(json, "high", 5, 8, "c").value(), 8);
  FRUGAL_EXPECT_ERROR(positive_or(json, "zero", 5, 8, "c"), kInvalid, "'zero' is 0");
}

TEST(ConfigReader, NumbersAreAboveZeroAndFinite) {
  Json json = {{"small", 1e-300}, {"whole", 3}, {"zero", 0.0}, {"below", -1.5}, {"no", nullptr}};
  json["infinite"] = std::numeric_limits<double>::infinity();
  EXPECT_EQ(positive_number(json, "small", "c").value(), 1e-300);
  EXPECT_EQ(positive_number(json, "whole", "c").value(), 3.0);
  for (const char* key : {"zero", "below", "infinite"})
    FRUGAL_EXPECT_ERROR(positive_number(json, key, "c"), kInvalid, "expected a positive number");
  FRUGAL_EXPECT_ERROR(positive_number(json, "absent", "c"), kInvalid, "'absent' is missing");
  EXPECT_EQ(positive_number_or(json, "no", 2.5, "c").value(), 2.5);
  EXPECT_EQ(positive_number_or(json, "absent", 2.5, "c").value(), 2.5);
  FRUGAL_EXPECT_ERROR(positive_number_or(json, "below", 2.5, "c"), kInvalid, "'below' is -1.5");
}

TEST(ConfigReader, TokenIdsAreOneSeveralOrNone) {
  const auto read = [](Json value) { return token_ids({{"id", std::move(value)}}, "id", 10, "c"); };
  using Ids = std::vector<int64_t>;
  EXPECT_EQ(read(9).value(), Ids{9});
  EXPECT_EQ(read({3, 0}).value(), (Ids{3, 0}));
  EXPECT_EQ(read(nullptr).value(), Ids{});
  EXPECT_EQ(read(-1).value(), Ids{});
  EXPECT_EQ(read({-1, 4}).value(), Ids{4});
  EXPECT_EQ(token_ids(Json::object(), "id", 10, "c").value(), Ids{});
  for (const Json& bad : {Json(10), Json(-2), Json(uint64_t{1} << 63), Json(1.0), Json(true),
                          Json("2"), Json(Json::array({1, Json::array({2})}))}) {
    FRUGAL_EXPECT_ERROR(read(bad), kInvalid, "expected ids below 'vocab_size' 10 or null");
  }
}

TEST(ConfigReader, SizesComeFromTheFileAndDefaultsFillIn) {
  Json json = tiny_config_json();
  for (const char* key : {"num_key_value_heads", "tie_word_embeddings", "hidden_act"})
    json.erase(key);
  ModelConfig config;
  FRUGAL_ASSERT_OK(read_sizes(json, "c", {}, config));
  ASSERT_EQ(config.layers.size(), 2u);
  EXPECT_EQ(config.layers[0], config.layers[1]);
  const Layer& layer = config.layers[0];
  EXPECT_EQ(layer.attention.key_value_heads, 4);  // as many as heads
  EXPECT_EQ(layer.attention.head_size, 8);        // 32 channels / 4 heads
  EXPECT_DOUBLE_EQ(layer.attention.score_scale, 1 / std::sqrt(8.0));
  EXPECT_EQ(layer.before_attention->epsilon, 1e-5);
  EXPECT_EQ(layer.before_feed_forward, config.final_norm);
  EXPECT_EQ(layer.feed_forward.activation, Activation::kSilu);
  EXPECT_FALSE(config.tied_embeddings);
  EXPECT_EQ(config.initializer_range, 0.02);

  json["gate_act"] = "relu";
  json["initializer_range"] = 0.5;
  const Defaults other = {.key_value_heads = 1,
                          .head_size = 6,
                          .tied_embeddings = true,
                          .activation_key = "gate_act",
                          .activation = "gelu"};
  FRUGAL_ASSERT_OK(read_sizes(json, "c", other, config));
  EXPECT_EQ(config.layers[1].attention.key_value_heads, 1);
  EXPECT_EQ(config.layers[1].attention.head_size, 6);
  EXPECT_EQ(config.layers[1].feed_forward.activation, Activation::kRelu);
  EXPECT_TRUE(config.tied_embeddings);
  EXPECT_EQ(config.initializer_range, 0.5);
  json.erase("gate_act");
  FRUGAL_ASSERT_OK(read_sizes(json, "c", other, config));
  EXPECT_EQ(config.layers[1].feed_forward.activation, Activation::kGelu);
}

TEST(ConfigReader, SizesThatCannotBeAreRefused) {
  const auto read = [](const char* key, const Json& value) {
    Json json = tiny_config_json();
    json[key] = value;
    ModelConfig config;
    return read_sizes(json, "c", {}, config);
  };
  FRUGAL_EXPECT_ERROR(
      read("hidden_act", "mish"), kUnimplemented,
      "'hidden_act' is 'mish'; frugal has silu, swish, gelu, gelu_pytorch_tanh, gelu_new, relu");
  FRUGAL_EXPECT_ERROR(read("num_key_value_heads", 3), kInvalid,
                      "'num_key_value_heads' is 3, expected a divisor of 'num_attention_heads' 4");
  FRUGAL_EXPECT_ERROR(read("hidden_size", 34), kInvalid,
                      "'head_dim' is absent and 'hidden_size' 34 is no multiple");
  FRUGAL_EXPECT_ERROR(read("head_dim", 5), kInvalid, "the head size is 5, expected an even number");
  FRUGAL_EXPECT_ERROR(read("head_dim", 1 << 19), kInvalid,
                      "4 heads of 524288 are wider than 1048576");
}

TEST(ConfigReader, WhatIsWrittenReadsBack) {
  ModelConfig config;
  const Defaults defaults = {.head_size = 16, .activation_key = "gate_act"};
  FRUGAL_ASSERT_OK(read_sizes(tiny_config_json(), "c", {}, config));
  for (Layer& layer : config.layers) {
    layer.feed_forward.activation = Activation::kGeluTanh;
    layer.attention.rope.scaling = RopeScaling{.kind = RopeScaling::Kind::kLlama3,
                                               .factor = 4.0,
                                               .low_freq_factor = 1.5,
                                               .high_freq_factor = 3.0,
                                               .original_max_position_embeddings = 64};
  }
  config.eos_token_ids = {2, 5};
  config.pad_token_id = 0;
  Json json = Json::object();
  write_sizes(config, defaults, json);
  write_rope(config, json);
  EXPECT_EQ(json["gate_act"], "gelu_pytorch_tanh");
  EXPECT_EQ(json["head_dim"], 8);
  EXPECT_EQ(json["bos_token_id"], 1);
  EXPECT_EQ(json["eos_token_id"], Json({2, 5}));
  ModelConfig back;
  FRUGAL_ASSERT_OK(read_sizes(json, "written", defaults, back));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Rope rope, read_rope(json, "written", kRopeRules));
  for (Layer& layer : back.layers) layer.attention.rope = rope;
  EXPECT_EQ(back.layers, config.layers);
  EXPECT_EQ(back.eos_token_ids, config.eos_token_ids);
  EXPECT_EQ(back.pad_token_id, 0);
}

TEST(ConfigReader, TheNewerPlaceOfTheRopeWins) {
  Json json = {
      {"rope_theta", 2e4},
      {"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}},
      {"rope_parameters", {{"rope_type", "linear"}, {"factor", 3.0}, {"rope_theta", 5e5}}}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Rope both, read_rope(json, "c", kRopeRules));
  EXPECT_EQ(both.theta, 5e5);
  EXPECT_EQ(both.scaling->factor, 3.0);
  json["rope_parameters"] = {{"rope_type", "default"}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Rope plain, read_rope(json, "c", kRopeRules));
  EXPECT_EQ(plain.theta, 2e4);
  EXPECT_FALSE(plain.scaling.has_value());
  EXPECT_EQ(read_rope(Json::object(), "c", kRopeRules)->theta, 1e4);
  json["rope_parameters"] = 3;
  FRUGAL_EXPECT_ERROR(read_rope(json, "c", kRopeRules), kInvalid,
                      "c: 'rope_parameters' is no object");
}

TEST(ConfigReader, RopesThatAreNotKnownAreRefused) {
  Rope rope;
  FRUGAL_EXPECT_ERROR(read_rope_object({{"rope_type", "dynamic"}}, "c", kRopeRules, rope),
                      kUnimplemented,
                      "'rope_type' is 'dynamic'; frugal supports 'default', 'linear', 'llama3', "
                      "'yarn' and 'longrope'");
  FRUGAL_EXPECT_ERROR(read_rope_object({{"partial_rotary_factor", 0.25}}, "c", kRopeRules, rope),
                      kUnimplemented, "'partial_rotary_factor' is 0.25");
  FRUGAL_EXPECT_ERROR(read_rope_object({{"rope_theta", 0}}, "c", kRopeRules, rope), kInvalid,
                      "'rope_theta' is 0");
  Json llama3 = {{"rope_type", "llama3"},
                 {"factor", 8.0},
                 {"low_freq_factor", 4.0},
                 {"high_freq_factor", 4.0},
                 {"original_max_position_embeddings", 64}};
  FRUGAL_EXPECT_ERROR(read_rope_object(llama3, "c", kRopeRules, rope), kInvalid,
                      "'low_freq_factor' 4 must be below 'high_freq_factor' 4");
}

TEST(ConfigReader, WritingARopeDropsWhatTheOtherKindSaid) {
  Json object = {
      {"type", "llama3"},        {"factor", 8.0}, {"low_freq_factor", 1.0},
      {"high_freq_factor", 4.0}, {"kept", 1},     {"original_max_position_embeddings", 64}};
  write_rope_object(
      {.theta = 1e4, .scaling = RopeScaling{.kind = RopeScaling::Kind::kLinear, .factor = 2}},
      object);
  EXPECT_EQ(object, Json({{"kept", 1}, {"rope_type", "linear"}, {"factor", 2.0}}));
  write_rope_object({}, object);
  EXPECT_EQ(object, Json({{"kept", 1}, {"rope_type", "default"}}));
}

TEST(ConfigReader, KindsOfLayersAreListedOnceEach) {
  const Json json = {{"layer_types", {"full_attention", "sliding_attention"}}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto windowed, read_layer_types(json, "c", 2));
  EXPECT_EQ(windowed, (std::vector<bool>{false, true}));
  EXPECT_EQ(read_layer_types(Json::object(), "c", 2).value(), std::nullopt);
  FRUGAL_EXPECT_ERROR(
      read_layer_types(json, "c", 3), kInvalid,
      "'layer_types' has 2 entries, expected one for each of 'num_hidden_layers' 3");
  FRUGAL_EXPECT_ERROR(read_layer_types({{"layer_types", "full_attention"}}, "c", 1), kInvalid,
                      "is no list");
  FRUGAL_EXPECT_ERROR(read_layer_types({{"layer_types", {"full_attention", 7}}}, "c", 2),
                      kUnimplemented, "'layer_types' holds 7");
  ModelConfig config;
  config.layers.resize(2);
  config.layers[1].attention.window = 4;
  EXPECT_EQ(layer_types(config), json["layer_types"]);
}

TEST(ConfigReader, KeysThatChangeTheComputationAreRefused) {
  const Json json = {
      {"on", true}, {"off", false}, {"none", nullptr}, {"value", {1, 2}}, {"text", "yes"}};
  FRUGAL_EXPECT_OK(refuse_true(json, "c", {"off", "none", "absent"}));
  FRUGAL_EXPECT_ERROR(refuse_true(json, "c", {"off", "on"}), kUnimplemented,
                      "c: 'on' is true; frugal supports only false");
  FRUGAL_EXPECT_ERROR(refuse_true(json, "c", {"text"}), kInvalid, "'text'");
  FRUGAL_EXPECT_OK(refuse_present(json, "c", {"none", "absent"}));
  FRUGAL_EXPECT_ERROR(refuse_present(json, "c", {"off"}), kUnimplemented,
                      "c: 'off' is false; frugal supports only null");
  FRUGAL_EXPECT_ERROR(refuse_present(json, "c", {"value"}), kUnimplemented,
                      "'value' is a list or object");
}

}  // namespace
}  // namespace frugal::architecture
