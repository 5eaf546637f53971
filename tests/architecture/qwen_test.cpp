// Windows of Qwen2 and Qwen3, against transformers' configuration_qwen2.py.
#include "architecture/families/qwen.h"

#include <gmock/gmock.h>

#include "architecture/tiny_config.h"

namespace frugal::architecture {
namespace {

using base::Json;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// What read_qwen_windows makes of four layers; 0 where a layer has no window.
absl::StatusOr<std::vector<int64_t>> windows(const Json& json, int64_t context = 64) {
  ModelConfig config;
  config.context_length = context;
  config.layers.resize(4);
  FRUGAL_RETURN_IF_ERROR(read_qwen_windows(json, "c", config));
  std::vector<int64_t> result;
  for (const Layer& layer : config.layers) result.push_back(layer.attention.window.value_or(0));
  return result;
}

TEST(Qwen, WindowsAreUsedWhereTheConfigAsksForThem) {
  Json json = {{"sliding_window", 16}, {"max_window_layers", 2}};
  EXPECT_THAT(windows(json).value(), testing::ElementsAre(0, 0, 0, 0));
  json["use_sliding_window"] = true;
  EXPECT_THAT(windows(json).value(), testing::ElementsAre(0, 0, 16, 16));
  json["max_window_layers"] = 0;
  EXPECT_THAT(windows(json).value(), testing::Each(16));
  json["max_window_layers"] = 4;
  EXPECT_THAT(windows(json).value(), testing::Each(0));
  json.erase("max_window_layers");  // 28 by default: more than there are
  EXPECT_THAT(windows(json).value(), testing::Each(0));
  json["layer_types"] = {"sliding_attention", "full_attention", "sliding_attention",
                         "full_attention"};
  EXPECT_THAT(windows(json).value(), testing::ElementsAre(16, 0, 16, 0));
}

TEST(Qwen, AnAbsentWindowIsTheDefaultAndNullIsNone) {
  Json json = {{"use_sliding_window", true}, {"max_window_layers", 1}};
  EXPECT_THAT(windows(json, 8192).value(), testing::ElementsAre(0, 4096, 4096, 4096));
  json["sliding_window"] = nullptr;
  EXPECT_THAT(windows(json, 8192).value(), testing::Each(0));
  json["layer_types"] = {"full_attention", "full_attention", "full_attention", "sliding_attention"};
  FRUGAL_EXPECT_ERROR(windows(json, 8192), kInvalid,
                      "'layer_types' has windowed layers, but 'sliding_window' is null");
}

TEST(Qwen, AWindowOfTheWholeContextIsNone) {
  const Json json = {
      {"use_sliding_window", true}, {"max_window_layers", 0}, {"sliding_window", 64}};
  EXPECT_THAT(windows(json, 64).value(), testing::Each(0));
  EXPECT_THAT(windows(json, 65).value(), testing::Each(64));
}

TEST(Qwen, ContradictionsAreRefused) {
  Json json = {
      {"layer_types", {"full_attention", "full_attention", "full_attention", "sliding_attention"}}};
  FRUGAL_EXPECT_ERROR(windows(json), kInvalid,
                      "c: 'layer_types' has windowed layers, but 'use_sliding_window' is not true");
  json["use_sliding_window"] = true;
  json["sliding_window"] = 0;
  FRUGAL_EXPECT_ERROR(windows(json), kInvalid, "'sliding_window' is 0");
}

// So that layers may go: which are windowed is then no longer a matter of their number.
TEST(Qwen, WindowsThatAreUsedAreWrittenLayerByLayer) {
  ModelConfig config;
  config.layers.resize(2);
  Json json = Json::object();
  write_qwen_windows(config, json);
  EXPECT_FALSE(json.contains("layer_types"));
  config.layers[0].attention.window = 16;
  write_qwen_windows(config, json);
  EXPECT_EQ(json["layer_types"], Json({"sliding_attention", "full_attention"}));
  config.layers[0].attention.window.reset();
  write_qwen_windows(config, json);  // what stands there already is kept true
  EXPECT_EQ(json["layer_types"], Json({"full_attention", "full_attention"}));
}

}  // namespace
}  // namespace frugal::architecture
