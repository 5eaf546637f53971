#include "architecture/model_config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "architecture/family.h"
#include "architecture/tensors.h"
#include "architecture/tiny_config.h"

namespace frugal::architecture {
namespace {

using base::Json;
using test::tiny_config_json;

absl::StatusOr<ModelConfig> parse_with(std::string_view key, Json value) {
  Json json = tiny_config_json();
  json[std::string(key)] = std::move(value);
  return parse_model_config(json, "config.json");
}

absl::StatusOr<ModelConfig> parse_without(std::string_view key) {
  Json json = tiny_config_json();
  json.erase(std::string(key));
  return parse_model_config(json, "config.json");
}

TEST(ModelConfig, ReadsEveryField) {
  const ModelConfig config = test::tiny_config();
  EXPECT_EQ(config.architecture, "LlamaForCausalLM");
  EXPECT_EQ(config.model_type, "llama");
  EXPECT_EQ(config.vocabulary_size, 40);
  EXPECT_EQ(config.hidden_size, 32);
  EXPECT_EQ(config.layers.front().feed_forward.width, 64);
  EXPECT_EQ(config.layer_count(), 2);
  EXPECT_EQ(config.layers.front().attention.heads, 4);
  EXPECT_EQ(config.layers.front().attention.key_value_heads, 2);
  EXPECT_EQ(config.layers.front().attention.head_size, 8);
  EXPECT_EQ(config.context_length, 128);
  EXPECT_EQ(config.final_norm.epsilon, 1e-5);
  EXPECT_EQ(config.layers.front().attention.rope.theta, 10000.0);
  EXPECT_TRUE(config.tied_embeddings);
  EXPECT_EQ(config.bos_token_ids, std::vector<int64_t>{1});
  EXPECT_EQ(config.eos_token_ids, std::vector<int64_t>{2});
  EXPECT_EQ(config.pad_token_id, std::nullopt);
  // 40*32 + 2*(32*32*2 + 16*32*2 + 3*64*32 + 2*32) + 32
  EXPECT_EQ(config.parameter_count(), 1280 + 2 * (2048 + 1024 + 6144 + 64) + 32);
}

TEST(ModelConfig, NamesWhatIsMissing) {
  for (const std::string_view key :
       {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "max_position_embeddings", "rms_norm_eps", "architectures"}) {
    FRUGAL_EXPECT_ERROR(parse_without(key), absl::StatusCode::kInvalidArgument,
                        base::str_cat("'", key, "' is missing"));
  }
}

TEST(ModelConfig, NamesWhatIsImpossible) {
  const auto invalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(parse_with("hidden_size", 0), invalid, "'hidden_size' is 0");
  FRUGAL_EXPECT_ERROR(parse_with("hidden_size", "32"), invalid, "'hidden_size' is \"32\"");
  FRUGAL_EXPECT_ERROR(parse_with("num_hidden_layers", 1 << 20), invalid,
                      "'num_hidden_layers' is 1048576");
  FRUGAL_EXPECT_ERROR(parse_with("num_key_value_heads", 3), invalid,
                      "a divisor of 'num_attention_heads' 4");
  FRUGAL_EXPECT_ERROR(parse_with("num_attention_heads", 6), invalid,
                      "no multiple of 'num_attention_heads' 6");
  FRUGAL_EXPECT_ERROR(parse_with("head_dim", 7), invalid, "an even number");
  FRUGAL_EXPECT_ERROR(parse_with("rms_norm_eps", -1.0), invalid, "'rms_norm_eps' is -1");
  FRUGAL_EXPECT_ERROR(parse_with("eos_token_id", 40), invalid, "'eos_token_id' holds 40");
  FRUGAL_EXPECT_ERROR(parse_with("bos_token_id", "<s>"), invalid, "'bos_token_id' holds");
  FRUGAL_EXPECT_ERROR(parse_with("tie_word_embeddings", 1), invalid, "'tie_word_embeddings'");
  FRUGAL_EXPECT_ERROR(parse_model_config(Json::array(), "here"), invalid,
                      "here: expected a JSON object");
}

TEST(ModelConfig, RefusesWhatChangesTheComputation) {
  const auto no = absl::StatusCode::kUnimplemented;
  FRUGAL_EXPECT_ERROR(parse_with("architectures", {"PhiForCausalLM"}), no,
                      "'PhiForCausalLM' is not known; frugal reads LlamaForCausalLM");
  FRUGAL_EXPECT_ERROR(parse_with("hidden_act", "mish"), no, "'hidden_act' is 'mish'");
  FRUGAL_EXPECT_ERROR(parse_with("rope_interleaved", true), no, "'rope_interleaved' is true");
  FRUGAL_EXPECT_ERROR(parse_with("rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}), no,
                      "'type' is 'dynamic'");
  FRUGAL_EXPECT_ERROR(parse_with("rope_parameters", {{"rope_type", "proportional"}}), no,
                      "'rope_type' is 'proportional'");
  FRUGAL_EXPECT_ERROR(parse_with("partial_rotary_factor", 0.5), no,
                      "'partial_rotary_factor' is 0.5");
}

TEST(ModelConfig, NamesWhatIsContradictory) {
  FRUGAL_EXPECT_ERROR(parse_with("model_type", "qwen2"), absl::StatusCode::kInvalidArgument,
                      "'architectures' names LlamaForCausalLM, whose 'model_type' is 'llama', but "
                      "'model_type' is 'qwen2'");
}

TEST(ModelConfig, ReadsRopeFromBothPlaces) {
  const Json scaling = {{"rope_type", "llama3"},
                        {"factor", 32.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", 8192}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig old_place, parse_with("rope_scaling", scaling));
  ASSERT_TRUE(old_place.layers.front().attention.rope.scaling.has_value());
  EXPECT_EQ(*old_place.layers.front().attention.rope.scaling,
            (RopeScaling{RopeScaling::Kind::kLlama3, 32.0, 1.0, 4.0, 8192}));
  Json parameters = scaling;
  parameters["rope_theta"] = 500000.0;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig new_place,
                              parse_with("rope_parameters", parameters));
  EXPECT_EQ(new_place.layers.front().attention.rope.theta, 500000.0);
  EXPECT_EQ(new_place.layers.front().attention.rope.scaling,
            old_place.layers.front().attention.rope.scaling);
  Json broken = scaling;
  broken.erase("factor");
  FRUGAL_EXPECT_ERROR(parse_with("rope_scaling", broken), absl::StatusCode::kInvalidArgument,
                      "'rope_scaling': the key 'factor' is missing");
}

TEST(ModelConfig, ReadsLinearScalingOfRope) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig config,
                              parse_with("rope_scaling", {{"type", "linear"}, {"factor", 4.0}}));
  ASSERT_TRUE(config.layers.back().attention.rope.scaling.has_value());
  EXPECT_EQ(config.layers.back().attention.rope.scaling->kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(config.layers.back().attention.rope.scaling->factor, 4.0);
  EXPECT_EQ(parse_model_config(to_json(config), "written")->layers, config.layers);
  FRUGAL_EXPECT_ERROR(parse_with("rope_scaling", {{"type", "linear"}}),
                      absl::StatusCode::kInvalidArgument, "'factor' is missing");
}

TEST(ModelConfig, WritingKeepsUnknownKeysAndTakesTheFields) {
  ModelConfig config = test::tiny_config();
  for (Layer& layer : config.layers) layer.feed_forward.width = 48;
  config.eos_token_ids = {2, 3};
  for (Layer& layer : config.layers) layer.attention.rope.scaling = RopeScaling{};
  const Json json = to_json(config);
  EXPECT_EQ(json["a_key_of_tomorrow"], tiny_config_json()["a_key_of_tomorrow"]);
  EXPECT_EQ(json["hidden_act"], "silu");
  EXPECT_EQ(json["intermediate_size"], 48);
  EXPECT_EQ(json["eos_token_id"], Json({2, 3}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig back, parse_model_config(json, "written"));
  EXPECT_EQ(back.layers.front().attention.rope.scaling,
            config.layers.front().attention.rope.scaling);
  EXPECT_EQ(back.layers.back().feed_forward.width, 48);
  EXPECT_EQ(to_json(back), json);
}

TEST(ModelConfig, AConfigMadeFromScratchReadsBack) {
  ModelConfig config = test::tiny_config();
  config.source = Json();
  for (Layer& layer : config.layers) layer.attention.head_size = 16;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig back,
                              parse_model_config(to_json(config), "written"));
  EXPECT_EQ(back.layers.back().attention.head_size, 16);
  EXPECT_EQ(back.eos_token_ids, config.eos_token_ids);
}

TEST(ModelConfig, TensorsFollowTheConfig) {
  ModelConfig config = test::tiny_config();
  EXPECT_EQ(tensors(config).size(), 2u * 9 + 2);
  config.tied_embeddings = false;
  const auto all = tensors(config);
  EXPECT_EQ(all.back().name, "lm_head.weight");
  EXPECT_EQ(all.back().shape, (std::vector<int64_t>{40, 32}));
  EXPECT_EQ(all[3].name, "model.layers.0.self_attn.k_proj.weight");
  EXPECT_EQ(all[3].shape, (std::vector<int64_t>{16, 32}));
}

// Parameter counts as the models' cards state them (embeddings once when tied).
TEST(ModelConfig, RealConfigsRead) {
  FRUGAL_SHARED_DATA_OR_SKIP(folder, "hf-configs");
  const std::map<std::string, int64_t> known = {{"llama2_7b", 6738415616},
                                                {"llama2_13b", 13015864320},
                                                {"llama2_70b", 68976648192},
                                                {"llama3_1_8b", 8030261248},
                                                {"llama3_1_70b", 70553706496},
                                                {"llama3_2_1b", 1235814400},
                                                {"llama3_2_3b", 3212749824},
                                                {"mistral_7b", 7241732096},
                                                {"mistral_7b_v03", 7248023552},
                                                {"smollm_135m", 134515008},
                                                {"smollm2_360m", 361821120},
                                                {"tinyllama_1b_chat_v1.0", 1100048384},
                                                {"qwen2_0_5b", 494032768},
                                                {"qwen2_1_5b", 1543714304},
                                                {"qwen2_7b", 7615616512},
                                                {"qwen2.5_3b", 3085938688},
                                                {"qwen3_0.6b", 596049920},
                                                {"qwen3_1.7b", 1720574976},
                                                {"gemma3_1b_it", 999885952},
                                                {"gemma2_2b", 2614341888},
                                                {"gemma2_9b", 9241705984},
                                                {"gemma2_27b", 27227128320},
                                                {"phi-3_5", 3821079552},
                                                {"phi-4", 3836021760},
                                                {"Mixtral-8x7B-v0.1", 46702792704},
                                                {"gpt2", 124439808},
                                                {"gpt2_medium", 354823168}};
  size_t checked = 0;
  for (const auto& item : std::filesystem::recursive_directory_iterator(folder)) {
    if (item.path().extension() != ".json") continue;
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Json json, base::read_json(item.path()));
    const std::string file = item.path().filename().string();
    const std::string label = file.substr(0, file.find(".config.json"));
    const std::string architecture = json["architectures"][0].get<std::string>();
    const auto config = parse_model_config(json, label);
    if (!find_family(architecture, label).ok()) {
      FRUGAL_EXPECT_ERROR(config, absl::StatusCode::kUnimplemented, architecture);
      continue;
    }
    ASSERT_TRUE(config.ok()) << label << ": " << config.status();
    FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig back,
                                parse_model_config(to_json(*config), "written"));
    EXPECT_EQ(back.layers, config->layers) << label;
    if (const auto count = known.find(label); count != known.end()) {
      EXPECT_EQ(config->parameter_count(), count->second) << label;
      ++checked;
    }
  }
  EXPECT_EQ(checked, known.size());
}

}  // namespace
}  // namespace frugal::architecture
