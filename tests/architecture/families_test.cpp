// What each family's config.json means (architecture/families/*.cpp), against transformers'
// configuration_*.py.
#include "architecture/families/families.h"

#include <gmock/gmock.h>

#include <cmath>

#include "architecture/family.h"
#include "architecture/tensors.h"
#include "architecture/tiny_config.h"

namespace frugal::architecture {
namespace {

using base::Json;
using test::parsed;
using test::tiny_config_json;
using test::tiny_gemma3;

constexpr auto kUnimplemented = absl::StatusCode::kUnimplemented;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::vector<bool> windowed(const ModelConfig& config) {
  std::vector<bool> result;
  for (const Layer& layer : config.layers) result.push_back(layer.attention.window.has_value());
  return result;
}

TEST(Families, EachIsFoundByItsName) {
  for (const Family* const family : families()) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Family* const found,
                                find_family(family->architecture, "here"));
    EXPECT_EQ(found, family);
  }
  FRUGAL_EXPECT_ERROR(find_family("MambaForCausalLM", "here"), kUnimplemented,
                      "here: architecture 'MambaForCausalLM' is not known");
}

TEST(Families, EveryFileOfTheFolderIsListed) {
  EXPECT_THAT(families(),
              testing::ElementsAre(&kLlama, &kMistral, &kQwen2, &kQwen3, &kGemma3, &kPhi3));
}

// A config of one family is read, written and named by that family alone.
TEST(Families, ModelTypesBelongToOneFamily) {
  for (const Family* const family : families()) {
    Json json = tiny_config_json(family->architecture, family->model_type);
    const ModelConfig config = parsed(json);
    EXPECT_EQ(&family_of(config), family);
    EXPECT_EQ(to_json(config)["model_type"], family->model_type);
    for (const Family* const other : families()) {
      if (other == family) continue;
      json["model_type"] = other->model_type;
      FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kInvalid,
                          base::str_cat("whose 'model_type' is '", family->model_type, "'"));
    }
  }
}

TEST(Families, LlamaHasBiasesWhereItSaysSo) {
  Json json = tiny_config_json();
  json["attention_bias"] = true;
  json["mlp_bias"] = true;
  const ModelConfig config = parsed(json);
  EXPECT_EQ(layer_tensors(config, 1).size(), 9u + 7);
  EXPECT_EQ(tensor_name(config, Role::kDownBias, 1), "model.layers.1.mlp.down_proj.bias");
  EXPECT_EQ(parsed(to_json(config)).layers, config.layers);
}

TEST(Families, LlamaTakesBothNamesOfItsActivation) {
  Json json = tiny_config_json();
  json["hidden_act"] = "swish";
  EXPECT_EQ(parsed(json).layers.front().feed_forward.activation, Activation::kSilu);
  json["hidden_act"] = "gelu_pytorch_tanh";
  EXPECT_EQ(parsed(json).layers.front().feed_forward.activation, Activation::kGeluTanh);
}

TEST(Families, LlamaHasNoWindow) {
  Json json = tiny_config_json();
  json["sliding_window"] = 64;
  FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kUnimplemented,
                      "c: 'sliding_window' is 64, below 'max_position_embeddings' 128");
  for (const Json& harmless : {Json(nullptr), Json(128), Json(4096)}) {
    json["sliding_window"] = harmless;
    FRUGAL_EXPECT_OK(parse_model_config(json, "c"));
  }
}

TEST(Families, MistralWindowIsTheKeyOrItsDefault) {
  Json json = tiny_config_json("MistralForCausalLM", "mistral");
  EXPECT_THAT(windowed(parsed(json)), testing::Each(false));  // 4096 exceeds the context of 128
  json["sliding_window"] = 64;
  EXPECT_EQ(parsed(json).layers.back().attention.window, 64);
  json["sliding_window"] = nullptr;
  json["max_position_embeddings"] = 32768;
  EXPECT_THAT(windowed(parsed(json)), testing::Each(false));
  json.erase("sliding_window");
  EXPECT_EQ(parsed(json).layers.front().attention.window, 4096);
}

TEST(Families, Qwen2HasBiasesAndWindowsFromALayerOn) {
  Json json = tiny_config_json("Qwen2ForCausalLM", "qwen2",
                               {{"num_hidden_layers", 4}, {"sliding_window", 16}});
  const ModelConfig plain = parsed(json);
  EXPECT_THAT(windowed(plain), testing::Each(false));  // use_sliding_window is not there
  EXPECT_TRUE(plain.layers.front().attention.input_bias);
  EXPECT_FALSE(plain.layers.front().attention.output_bias);
  json["use_sliding_window"] = true;
  json["max_window_layers"] = 3;
  const ModelConfig config = parsed(json);
  EXPECT_THAT(windowed(config), testing::ElementsAre(false, false, false, true));
  EXPECT_EQ(parsed(to_json(config)).layers, config.layers);
  json["layer_types"] = {"sliding_attention", "full_attention", "full_attention", "full_attention"};
  EXPECT_THAT(windowed(parsed(json)), testing::ElementsAre(true, false, false, false));
  json["use_sliding_window"] = false;
  FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kInvalid, "'layer_types' has windowed layers");
  json["layer_types"] = {"full_attention"};
  FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kInvalid, "has 1 entries");
  json["layer_types"] = {"full_attention", "full_attention", "full_attention", "linear"};
  FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kUnimplemented, "\"linear\"");
}

TEST(Families, Qwen3NormsHeadsOfTheirOwnSize) {
  Json json = tiny_config_json("Qwen3ForCausalLM", "qwen3", {{"head_dim", 24}});
  const ModelConfig config = parsed(json);
  const Attention& attention = config.layers.front().attention;
  EXPECT_EQ(attention.query_width(), 4 * 24);
  ASSERT_TRUE(attention.head_norm.has_value());
  EXPECT_FALSE(attention.head_norm->one_plus);
  EXPECT_FALSE(attention.input_bias);
  json.erase("head_dim");
  EXPECT_EQ(parsed(json).layers.front().attention.head_size, 128);  // transformers' default
}

TEST(Families, Phi3IsALlamaWithAWindow) {
  Json json = tiny_config_json("Phi3ForCausalLM", "phi3");
  EXPECT_THAT(windowed(parsed(json)), testing::Each(false));
  EXPECT_EQ(layer_tensors(parsed(json), 1).size(), 9u);
  json["sliding_window"] = 16;
  const ModelConfig config = parsed(json);
  EXPECT_THAT(windowed(config), testing::Each(true));
  EXPECT_EQ(parsed(to_json(config)).layers, config.layers);
  json["rope_scaling"] = {{"type", "longrope"}, {"long_factor", {1.0}}, {"short_factor", {1.0}}};
  FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kUnimplemented, "'type' is 'longrope'");
  json["rope_scaling"] = nullptr;
  json["partial_rotary_factor"] = 0.75;
  FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kUnimplemented, "'partial_rotary_factor'");
  json.erase("partial_rotary_factor");
  json["lm_head_bias"] = true;
  FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kUnimplemented, "'lm_head_bias'");
}

TEST(Families, Gemma3IsFiveWindowedLayersToOne) {
  const ModelConfig config = tiny_gemma3();
  EXPECT_THAT(windowed(config), testing::ElementsAre(true, true, true, true, true, false, true));
  EXPECT_EQ(config.layers[0].attention.window, 16);
  EXPECT_EQ(config.layers[0].attention.rope.theta, 1e4);
  EXPECT_EQ(config.layers[5].attention.rope.theta, 1e6);
  EXPECT_EQ(config.layers[0].feed_forward.activation, Activation::kGeluTanh);
  EXPECT_TRUE(config.layers[0].after_attention->one_plus);
  EXPECT_TRUE(config.final_norm.one_plus);
  EXPECT_TRUE(config.tied_embeddings);
  EXPECT_DOUBLE_EQ(config.embedding_scale, std::sqrt(32.0));
  EXPECT_DOUBLE_EQ(config.layers[0].attention.score_scale, 0.25);
  EXPECT_EQ(layer_tensors(config, 0).size(), 13u);
}

TEST(Families, Gemma3ReadsThetasFromBothPlaces) {
  const ModelConfig older = tiny_gemma3({{"rope_theta", 5e5}, {"rope_local_base_freq", 2e4}});
  EXPECT_EQ(older.layers[0].attention.rope.theta, 2e4);
  EXPECT_EQ(older.layers[5].attention.rope.theta, 5e5);
  const Json parameters = {{"full_attention", {{"rope_type", "default"}, {"rope_theta", 5e5}}},
                           {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 2e4}}}};
  const ModelConfig newer = tiny_gemma3({{"rope_parameters", parameters}});
  EXPECT_EQ(newer.layers, older.layers);
  EXPECT_EQ(parsed(to_json(newer)).layers, older.layers);
  EXPECT_EQ(parsed(to_json(older)).layers, older.layers);
}

TEST(Families, Gemma3KeepsItsKindsOfLayersWhenSomeGo) {
  ModelConfig config = tiny_gemma3();
  config.layers.erase(config.layers.begin() + 1, config.layers.begin() + 3);
  const ModelConfig back = parsed(to_json(config));
  EXPECT_THAT(windowed(back), testing::ElementsAre(true, true, true, false, true));
  EXPECT_EQ(back.layers, config.layers);
}

TEST(Families, Gemma3RefusesWhatOnlyItsRelativesHave) {
  for (const auto& [key, value] : {std::pair<const char*, Json>{"final_logit_softcapping", 30.0},
                                   {"attn_logit_softcapping", 50.0},
                                   {"use_bidirectional_attention", true}}) {
    Json json = tiny_config_json("Gemma3ForCausalLM", "gemma3_text", {{key, value}});
    FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kUnimplemented, key);
  }
}

}  // namespace
}  // namespace frugal::architecture
