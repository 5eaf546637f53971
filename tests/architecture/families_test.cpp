// What each family's config.json means (architecture/families/*.cpp), against transformers'
// configuration_*.py.
#include "architecture/families/families.h"

#include <gmock/gmock.h>

#include <cmath>
#include <map>

#include "architecture/family.h"
#include "architecture/stages.h"
#include "architecture/tensors.h"
#include "architecture/tiny_config.h"

namespace frugal::architecture {
namespace {

using base::Json;
using test::parsed;
using test::tiny_config;
using test::tiny_config_json;
using test::tiny_gemma3;
using test::tiny_gpt2_json;

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
  EXPECT_THAT(families(), testing::UnorderedElementsAre(
                              &kLlama, &kMistral, &kMixtral, &kQwen2, &kQwen3, &kQwen3Moe, &kGemma2,
                              &kGemma3, &kPhi3, &kOlmo2, &kOlmoe, &kSmolLM3, &kGranite, &kGpt2));
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
  ASSERT_TRUE(attention.query_key_norm.has_value());
  EXPECT_FALSE(attention.query_key_norm->one_plus);
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
  json["lm_head_bias"] = true;
  FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kUnimplemented, "'lm_head_bias'");
}

TEST(Families, Phi4MiniTurnsAShareOfEachHead) {
  Json json = tiny_config_json("Phi3ForCausalLM", "phi3", {{"partial_rotary_factor", 0.75}});
  const ModelConfig config = parsed(json);
  EXPECT_EQ(config.layers[0].attention.rope.channels, 6);
  EXPECT_EQ(parsed(to_json(config)).layers, config.layers);
  for (const double share : {0.0, 0.2, 0.4, 1.5}) {  // 0, 1, 3 and 12 channels of 8
    json["partial_rotary_factor"] = share;
    FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kInvalid, "'partial_rotary_factor' is");
  }
  FRUGAL_EXPECT_ERROR(
      parse_model_config(
          tiny_config_json("Qwen2ForCausalLM", "qwen2", {{"partial_rotary_factor", 0.75}}), "c"),
      kUnimplemented, "'partial_rotary_factor' is 0.75; heads of this family turn as a whole");
}

TEST(Families, LongRopeHasTwoSetsOfFactors) {
  const Json factors = {1.0, 1.5, 2.0, 2.5};
  Json json = tiny_config_json(
      "Phi3ForCausalLM", "phi3",
      {{"original_max_position_embeddings", 32},
       {"rope_scaling",
        {{"type", "longrope"}, {"short_factor", factors}, {"long_factor", factors}}}});
  const ModelConfig config = parsed(json);
  const RopeScaling& scaling = config.layers[0].attention.rope.scaling.value();
  EXPECT_EQ(scaling.kind, RopeScaling::Kind::kLongRope);
  EXPECT_EQ(scaling.original_max_position_embeddings, 32);
  EXPECT_THAT(scaling.long_factors, testing::ElementsAre(1.0, 1.5, 2.0, 2.5));
  // sqrt(1 + ln(128 / 32) / ln(32)) = sqrt(1 + 2/5).
  EXPECT_DOUBLE_EQ(scaling.attention_factor, std::sqrt(1.4));
  EXPECT_EQ(parsed(to_json(config)).layers, config.layers);
  for (const char* key : {"short_factor", "long_factor"}) {
    Json wrong = json;
    wrong["rope_scaling"][key] = {1.0, 2.0};
    FRUGAL_EXPECT_ERROR(parse_model_config(wrong, "c"), kInvalid,
                        "has 2 numbers, expected 4 numbers, one for each pair");
    wrong["rope_scaling"][key] = {1.0, 2.0, -1.0, 1.0};
    FRUGAL_EXPECT_ERROR(parse_model_config(wrong, "c"), kInvalid, "expected positive numbers");
    wrong["rope_scaling"].erase(key);
    FRUGAL_EXPECT_ERROR(parse_model_config(wrong, "c"), kInvalid, "is missing");
  }
}

TEST(Families, YarnHasDefaultsOfThePaper) {
  Json json = tiny_config_json();
  json["rope_scaling"] = {
      {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32}};
  const ModelConfig config = parsed(json);
  const RopeScaling& scaling = config.layers[0].attention.rope.scaling.value();
  EXPECT_EQ(scaling.kind, RopeScaling::Kind::kYarn);
  EXPECT_EQ(scaling.beta_fast, 32);
  EXPECT_EQ(scaling.beta_slow, 1);
  EXPECT_DOUBLE_EQ(scaling.attention_factor, 0.1 * std::log(4.0) + 1.0);
  EXPECT_EQ(parsed(to_json(config)).layers, config.layers);
  json["rope_scaling"]["mscale"] = 0.5;
  json["rope_scaling"]["mscale_all_dim"] = 1.0;
  EXPECT_DOUBLE_EQ(parsed(json).layers[0].attention.rope.scaling->attention_factor,
                   (0.05 * std::log(4.0) + 1.0) / (0.1 * std::log(4.0) + 1.0));
  json["rope_scaling"]["beta_slow"] = 64;
  FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kInvalid,
                      "'beta_slow' 64 must be below 'beta_fast' 32");
}

TEST(Families, Gemma2BoundsScoresAndLogits) {
  Json json = tiny_config_json("Gemma2ForCausalLM", "gemma2",
                               {{"hidden_act", nullptr},
                                {"num_hidden_layers", 3},
                                {"head_dim", 8},
                                {"query_pre_attn_scalar", 16},
                                {"sliding_window", 16}});
  ModelConfig config = parsed(json);
  EXPECT_THAT(windowed(config), testing::ElementsAre(true, false, true));
  EXPECT_EQ(config.logit_rule.cap, 30.0);  // transformers' defaults
  EXPECT_EQ(config.layers[0].attention.score_cap, 50.0);
  EXPECT_EQ(config.layers[0].attention.score_scale, 0.25);
  EXPECT_TRUE(config.tied_embeddings);
  EXPECT_TRUE(config.layers[1].after_feed_forward->one_plus);
  EXPECT_EQ(parsed(to_json(config)).layers, config.layers);
  json["final_logit_softcapping"] = nullptr;
  json["attn_logit_softcapping"] = 20.0;
  config = parsed(json);
  EXPECT_FALSE(config.logit_rule.cap.has_value());
  EXPECT_EQ(config.layers[0].attention.score_cap, 20.0);
  json["attn_logit_softcapping"] = 0.0;
  FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kInvalid, "'attn_logit_softcapping' is 0");
}

TEST(Families, Gpt2HasLayerNormsPositionsAndAPlainFeedForward) {
  const ModelConfig config = parsed(tiny_gpt2_json());
  EXPECT_TRUE(config.learned_positions);
  EXPECT_TRUE(config.tied_embeddings);
  EXPECT_TRUE(config.final_norm.centered);
  EXPECT_EQ(config.final_norm.epsilon, 1e-5);
  const Layer& layer = config.layers[1];
  EXPECT_FALSE(layer.feed_forward.gated);
  EXPECT_EQ(layer.feed_forward.width, 4 * 32);
  EXPECT_EQ(layer.feed_forward.activation, Activation::kGeluTanh);
  EXPECT_EQ(layer.attention.key_value_heads, 4);
  EXPECT_EQ(layer.attention.head_size, 8);
  EXPECT_EQ(layer.attention.rope.channels, 0);
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const Tensor& tensor : tensors(config)) shapes[tensor.name] = tensor.shape;
  EXPECT_EQ(shapes.size(), 2u + 2 * 16 + 2);
  EXPECT_THAT(shapes.at("transformer.wpe.weight"), testing::ElementsAre(128, 32));
  EXPECT_THAT(shapes.at("transformer.h.1.mlp.up_proj.weight"), testing::ElementsAre(128, 32));
  EXPECT_THAT(shapes.at("transformer.h.1.ln_2.bias"), testing::ElementsAre(32));
  EXPECT_THAT(shapes.at("transformer.ln_f.bias"), testing::ElementsAre(32));
  Json written = to_json(config);
  EXPECT_EQ(parsed(written).layers, config.layers);
  EXPECT_EQ(written["n_inner"], 128);
  EXPECT_EQ(written["a_key_of_tomorrow"], tiny_gpt2_json()["a_key_of_tomorrow"]);
  written["n_inner"] = 48;
  EXPECT_EQ(parsed(written).layers[0].feed_forward.width, 48);
}

TEST(Families, Gpt2StoresItsMatricesByInputs) {
  const ModelConfig config = parsed(tiny_gpt2_json());
  std::map<Role, Slice> slices;
  for (const Tensor& tensor : layer_tensors(config, 1)) {
    if (tensor.slice) slices[tensor.role] = *tensor.slice;
  }
  EXPECT_EQ(slices.size(), 2u * 6);  // six matrices and their biases
  EXPECT_EQ(slices.at(Role::kKey),
            (Slice{"transformer.h.1.attn.c_attn.weight", {32, 96}, 32, true}));
  EXPECT_EQ(slices.at(Role::kValueBias), (Slice{"transformer.h.1.attn.c_attn.bias", {96}, 64}));
  EXPECT_EQ(slices.at(Role::kDown),
            (Slice{"transformer.h.1.mlp.c_proj.weight", {128, 32}, 0, true}));
  EXPECT_EQ(slices.at(Role::kDownBias), (Slice{"transformer.h.1.mlp.c_proj.bias", {32}}));
}

TEST(Families, Gpt2NamesMayLackTheirBeginning) {
  const ModelConfig config = parsed(tiny_gpt2_json());
  EXPECT_EQ(whole_name(config, "h.0.ln_1.weight"), "transformer.h.0.ln_1.weight");
  EXPECT_EQ(whole_name(config, "transformer.wte.weight"), "transformer.wte.weight");
  EXPECT_EQ(whole_name(config, "lm_head.weight"), "lm_head.weight");
  EXPECT_EQ(whole_name(tiny_config(), "norm.weight"), "norm.weight");
  EXPECT_TRUE(is_buffer(config, "h.0.attn.bias"));
  EXPECT_TRUE(is_buffer(config, "transformer.h.0.attn.masked_bias"));
  EXPECT_FALSE(is_buffer(config, "h.0.attn.c_attn.bias"));
  EXPECT_FALSE(is_buffer(tiny_config(), "h.0.attn.bias"));
}

TEST(Families, Gpt2RefusesWhatItDoesNotCompute) {
  for (const char* key :
       {"scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "add_cross_attention"}) {
    Json json = tiny_gpt2_json();
    json[key] = true;
    FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kUnimplemented,
                        base::str_cat("'", key, "' is true; frugal supports only false"));
    json[key] = false;
    FRUGAL_EXPECT_OK(parse_model_config(json, "c"));
  }
  Json json = tiny_gpt2_json();
  json["scale_attn_weights"] = false;
  FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kUnimplemented,
                      "'scale_attn_weights' is false; frugal supports only true");
  json = tiny_gpt2_json();
  json["n_head"] = 5;
  FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kInvalid, "'n_embd' is 32");
  for (const char* key : {"n_embd", "n_head", "n_layer", "n_positions", "vocab_size"}) {
    json = tiny_gpt2_json();
    json.erase(key);
    FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kInvalid, key);
  }
}

// Between the activation and the last matrix of a plain feed-forward nothing can take a scale.
TEST(Families, Gpt2StagesHaveOneMatrixAheadOfTheActivation) {
  const std::vector<Stage> all = stages(parsed(tiny_gpt2_json()), 0);
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[2].name, "mlp_in");
  ASSERT_EQ(all[2].matrices.size(), 1u);
  EXPECT_EQ(all[2].matrices[0].role, Role::kUp);
  EXPECT_EQ(all[2].input_scale->role, Role::kNormBeforeFeedForward);
  EXPECT_FALSE(all[3].input_scale.has_value());
  EXPECT_TRUE(all[3].writes_residual);
}

// The names of transformers' own models, whatever files of single experts call them.
TEST(Families, StackedExpertsAreRowsOfTwoTensors) {
  ModelConfig config =
      parsed(tiny_config_json("MixtralForCausalLM", "mixtral", {{"num_local_experts", 3}}));
  config.stacked_experts = true;
  std::map<std::pair<Role, int64_t>, Tensor> found;
  for (const Tensor& tensor : layer_tensors(config, 1))
    found.emplace(std::pair(tensor.role, tensor.expert), tensor);
  const std::string prefix = "model.layers.1.mlp.";
  const auto slice = [&](Role role, int64_t expert) { return found.at({role, expert}).slice; };
  EXPECT_EQ(slice(Role::kRouter, kNoExpert), (Slice{prefix + "gate.weight", {3, 32}}));
  EXPECT_EQ(slice(Role::kGate, 2), (Slice{prefix + "experts.gate_up_proj", {3, 128, 32}, 256}));
  EXPECT_EQ(slice(Role::kUp, 2), (Slice{prefix + "experts.gate_up_proj", {3, 128, 32}, 320}));
  EXPECT_EQ(slice(Role::kDown, 2), (Slice{prefix + "experts.down_proj", {3, 32, 64}, 64}));
  EXPECT_EQ(found.at({Role::kGate, 2}).name, "model.layers.1.block_sparse_moe.experts.2.w1.weight");
  EXPECT_FALSE(slice(Role::kQuery, kNoExpert).has_value());
  config = parsed(tiny_config_json("Qwen3MoeForCausalLM", "qwen3_moe"));
  config.stacked_experts = true;
  for (const Tensor& tensor : layer_tensors(config, 0)) {  // the router has its name already
    EXPECT_EQ(tensor.slice.has_value(), tensor.expert != kNoExpert) << tensor.name;
  }
}

TEST(Families, Olmo2HasNormsBehindItsBlocksAlone) {
  const ModelConfig config = parsed(tiny_config_json("Olmo2ForCausalLM", "olmo2"));
  const Layer& layer = config.layers[0];
  EXPECT_FALSE(layer.before_attention.has_value());
  EXPECT_FALSE(layer.before_feed_forward.has_value());
  EXPECT_TRUE(layer.attention.norm_spans_heads);
  std::map<Role, std::vector<int64_t>> shapes;
  for (const Tensor& tensor : layer_tensors(config, 0)) shapes[tensor.role] = tensor.shape;
  EXPECT_EQ(shapes.count(Role::kNormBeforeAttention), 0u);
  EXPECT_THAT(shapes.at(Role::kQueryNorm), testing::ElementsAre(32));
  EXPECT_THAT(shapes.at(Role::kKeyNorm), testing::ElementsAre(16));
  EXPECT_EQ(tensor_name(config, Role::kNormAfterAttention, 0),
            "model.layers.0.post_attention_layernorm.weight");
  EXPECT_EQ(parsed(to_json(config)).layers, config.layers);
}

TEST(Families, SmolLM3HasLayersWithoutPositions) {
  Json json = tiny_config_json("SmolLM3ForCausalLM", "smollm3", {{"num_hidden_layers", 5}});
  ModelConfig config = parsed(json);
  const auto turning = [](const ModelConfig& of) {
    std::vector<bool> result;
    for (const Layer& layer : of.layers) result.push_back(layer.attention.rope.channels != 0);
    return result;
  };
  EXPECT_THAT(turning(config), testing::ElementsAre(true, true, true, false, true));
  json["no_rope_layers"] = {0, 1, 0, 1, 1};
  config = parsed(json);
  EXPECT_THAT(turning(config), testing::ElementsAre(false, true, false, true, true));
  config.layers.erase(config.layers.begin());  // as a model that lost its first layer
  EXPECT_THAT(turning(parsed(to_json(config))), testing::ElementsAre(true, false, true, true));
  EXPECT_EQ(parsed(to_json(config)).layers, config.layers);
  json["no_rope_layers"] = {1, 0};
  FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kInvalid, "'no_rope_layers' has 2 entries");
  json["no_rope_layers"] = {1, 0, 2, 1, 1};
  FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kInvalid, "something else than 0 and 1");
}

TEST(Families, GraniteHasMultipliers) {
  const ModelConfig config = parsed(tiny_config_json("GraniteForCausalLM", "granite",
                                                     {{"embedding_multiplier", 12.0},
                                                      {"logits_scaling", 8.0},
                                                      {"attention_multiplier", 0.015625},
                                                      {"residual_multiplier", 0.22}}));
  EXPECT_EQ(config.embedding_scale, 12.0);
  EXPECT_EQ(config.logit_rule.scale, 0.125);
  EXPECT_EQ(config.layers[1].attention.score_scale, 0.015625);
  EXPECT_EQ(config.layers[1].residual_multiplier, 0.22);
  EXPECT_FALSE(stages(config, 0)[1].writes_residual);  // not as it is
  EXPECT_EQ(parsed(to_json(config)).layers, config.layers);
}

TEST(Families, MixtralSendsTokensToExperts) {
  Json json = tiny_config_json("MixtralForCausalLM", "mixtral",
                               {{"num_local_experts", 4}, {"router_aux_loss_coef", 0.02}});
  const ModelConfig config = parsed(json);
  const Experts& experts = config.layers[0].experts.value();
  EXPECT_EQ(experts.count, 4);
  EXPECT_EQ(experts.per_token, 2);  // transformers' default
  EXPECT_TRUE(experts.normalized);
  EXPECT_EQ(config.router_loss_weight, 0.02);
  EXPECT_EQ(tensor_name(config, Role::kRouter, 1), "model.layers.1.block_sparse_moe.gate.weight");
  EXPECT_EQ(tensor_name(config, Role::kUp, 1, 3),
            "model.layers.1.block_sparse_moe.experts.3.w3.weight");
  EXPECT_EQ(layer_tensors(config, 0).size(), 7u + 4 * 3);
  EXPECT_EQ(parsed(to_json(config)).layers, config.layers);
  json["num_experts_per_tok"] = 5;
  FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kInvalid,
                      "'num_experts_per_tok' is 5, expected at most 'num_local_experts' 4");
}

TEST(Families, ExpertsAreStagesOfTheirOwn) {
  const ModelConfig config =
      parsed(tiny_config_json("MixtralForCausalLM", "mixtral", {{"num_local_experts", 3}}));
  const std::vector<Stage> all = stages(config, 0);
  ASSERT_EQ(all.size(), kAttentionStages + 6);
  EXPECT_EQ(all[1].expert, kNoExpert);
  EXPECT_EQ(all[4].name, "expert 1 mlp_in");
  EXPECT_EQ(all[4].expert, 1);
  EXPECT_FALSE(all[4].input_scale.has_value());  // what all experts read belongs to none
  EXPECT_EQ(all[5].input_scale->name, tensor_name(config, Role::kUp, 0, 1));
  EXPECT_FALSE(all[5].writes_residual);  // weighted by the router first
  for (const Stage& stage : all) {
    for (const Tensor& matrix : stage.matrices) EXPECT_NE(matrix.role, Role::kRouter);
  }
}

TEST(Families, Qwen3MoeMayHaveDenseLayers) {
  Json json = tiny_config_json("Qwen3MoeForCausalLM", "qwen3_moe",
                               {{"num_hidden_layers", 4},
                                {"num_experts", 6},
                                {"num_experts_per_tok", 3},
                                {"moe_intermediate_size", 24},
                                {"decoder_sparse_step", 2},
                                {"mlp_only_layers", {3}}});
  const ModelConfig config = parsed(json);
  EXPECT_FALSE(config.layers[0].experts.has_value());
  EXPECT_EQ(config.layers[0].feed_forward.width, 64);
  ASSERT_TRUE(config.layers[1].experts.has_value());
  EXPECT_EQ(config.layers[1].feed_forward.width, 24);
  EXPECT_FALSE(config.layers[1].experts->normalized);  // transformers' default
  EXPECT_FALSE(config.layers[3].experts.has_value());
  EXPECT_EQ(tensor_name(config, Role::kGate, 1, 5),
            "model.layers.1.mlp.experts.5.gate_proj.weight");
  EXPECT_EQ(parsed(to_json(config)).layers, config.layers);
  json["mlp_only_layers"] = {4};
  FRUGAL_EXPECT_ERROR(parse_model_config(json, "c"), kInvalid, "'mlp_only_layers'");
}

TEST(Families, OlmoeKeepsTheRoutersProbabilities) {
  const Json json = tiny_config_json("OlmoeForCausalLM", "olmoe",
                                     {{"num_experts", 4}, {"num_experts_per_tok", 2}});
  const ModelConfig config = parsed(json);
  EXPECT_FALSE(config.layers[0].experts->normalized);
  EXPECT_TRUE(config.layers[0].attention.norm_spans_heads);
  EXPECT_TRUE(config.layers[0].before_attention.has_value());
  EXPECT_EQ(parsed(to_json(config)).layers, config.layers);
  Json clipped = json;
  clipped["clip_qkv"] = 8.0;
  FRUGAL_EXPECT_ERROR(parse_model_config(clipped, "c"), kUnimplemented, "'clip_qkv' is 8.0");
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
